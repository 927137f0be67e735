/* cmd_explain.c: isthmus explain: hands over to `python -m isthmus.advice`, which reads the script. */
#include "commands.h"

static const cli_example examples[] = {
    {"isthmus explain job.py", "Every call of a script that moves data, without running it"},
    {"isthmus explain notebook.ipynb --json", "The cells of a notebook, as JSON"},
    {"isthmus explain main.demo.scores", "How a table is read and written"},
    {0},
};

const cli_page cmd_explain_page = {
    .arguments = "SOURCE...",
    .common = CLI_JSON,
    .description =
        "Reads a Python script or notebook, without running it, and tells for each call that moves data between Spark, "
        "Ray, tables and files what happens under `isthmus run`: which way the data goes, what that was measured to "
        "cost, what to look out for, and a better way where there is one. Names are followed through imports, "
        "variables, parameters and the script's own functions.\n\n"
        "What ends in .py or .ipynb is a script; everything else is a table by name, path or URI, of which the "
        "catalog's entry and the log are read.",
    .examples = examples,
};

ist_status cmd_explain(cli_call *call, ist_error *err)
{
    return cli_become_python(call, "isthmus.advice", call->json ? "--json" : NULL, err);
}
