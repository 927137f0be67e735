/* cmd_version.c: isthmus version. */
#include "commands.h"
#include "output.h"

const cli_page cmd_version_page = {
    .arguments = "",
    .common = CLI_JSON,
    .description = "Prints the version of Isthmus.",
};

ist_status cmd_version(cli_call *call, ist_error *err)
{
    (void)err;
    if (call->json)
        printf("{\"version\": \"%s\"}\n", ist_version());
    else
        printf("isthmus %s\n", ist_version());
    return IST_OK;
}
