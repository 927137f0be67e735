/* cmd_run.c: isthmus run: hands over to `python -m isthmus.run`. */
#include "commands.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const cli_example examples[] = {
    {"isthmus run job.py --date 2026-11-23", "Run a script; what follows its name is the script's"},
    {0},
};

const cli_page cmd_run_page = {
    .arguments = "SCRIPT [ARGUMENT...]",
    .passthrough = true,
    .description =
        "Runs a Python script in a process that is ready for Ray and Spark on Isthmus: the node daemon and the catalog "
        "server are started where none runs, Ray Data and Spark sessions have Isthmus' calls. Its exit status is the "
        "script's.\n\n"
        "Python is $ISTHMUS_PYTHON, else the one whose environment Isthmus is installed in, else python3 on $PATH.",
    .examples = examples,
};

void cli_find_python(char path[PATH_MAX])
{
    static const char inside[] = "/isthmus/bin/isthmus";
    char self[PATH_MAX];
    const char *given = getenv("ISTHMUS_PYTHON");
    ssize_t size = readlink("/proc/self/exe", self, sizeof self - 1);
    snprintf(path, PATH_MAX, "%s", given && *given ? given : "python3");
    if ((given && *given) || size < (ssize_t)strlen(inside))
        return;
    self[size] = '\0';
    char *end = self + size - strlen(inside);
    if (strcmp(end, inside) != 0)
        return;
    *end = '\0'; /* the folder that holds the package: lib/python3.x/site-packages, or python in a development tree */
    const char *folder = strrchr(self, '/');
    bool installed = folder && strcmp(folder, "/site-packages") == 0;
    char candidate[PATH_MAX];
    int n = snprintf(candidate, sizeof candidate, "%s/%s", self, installed ? "../../../bin/python3" : "../.venv/bin/python3");
    if (n > 0 && n < PATH_MAX && access(candidate, X_OK) == 0)
        snprintf(path, PATH_MAX, "%s", candidate);
}

ist_status cli_become_python(const cli_call *call, const char *module, const char *option, ist_error *err)
{
    char python[PATH_MAX];
    char **argv = calloc(call->arg_count + 5, sizeof *argv), **next = argv;
    if (!argv)
        return ist_error_set(err, IST_NO_MEMORY, 0, NULL, "no memory");
    cli_find_python(python);
    *next++ = python;
    *next++ = (char[]){"-m"};
    *next++ = (char *)module;
    if (option)
        *next++ = (char *)option;
    memcpy(next, call->args, call->arg_count * sizeof *argv);
    execvp(python, argv);
    free(argv);
    return ist_error_set(err, errno == ENOENT ? IST_NOT_FOUND : IST_IO, errno, python,
                         "cannot run %s: %s; set ISTHMUS_PYTHON to a Python that has isthmus installed", python,
                         strerror(errno));
}

ist_status cmd_run(cli_call *call, ist_error *err)
{
    return cli_become_python(call, "isthmus.run", NULL, err);
}
