/* help.c: see help.h. Descriptions are plain text: paragraphs divided by empty lines; a paragraph that starts with four
 * spaces is an example of input or output and keeps its line ends. */
#include "help.h"

#include <ctype.h>
#include <string.h>

enum { WIDTH = 80 };

static const char about[] = "connects Ray and Spark over Delta Lake and Unity Catalog";

static const struct {
    const char *name, *what;
} environment[] = {
    {"ISTHMUS_HOME", "Folder of Isthmus' own state (catalog, token, daemon socket). Default: ~/.isthmus."},
    {"ISTHMUS_CATALOG", "The catalog that knows tables by name, as --catalog."},
    {"ISTHMUS_TOKEN", "Bearer token for the catalog."},
    {"ISTHMUS_CA_FILE", "PEM file of the authorities that an https catalog is checked against."},
    {"DATABRICKS_HOST", "A catalog of Databricks, where ISTHMUS_CATALOG names none, with DATABRICKS_TOKEN, or "
                        "DATABRICKS_CLIENT_ID and DATABRICKS_CLIENT_SECRET."},
    {"DATABRICKS_CONFIG_PROFILE", "The same from a profile of ~/.databrickscfg."},
    {"ISTHMUS_SOCKET", "The node daemon's socket. Default: daemon.sock in $ISTHMUS_HOME."},
    {"ISTHMUS_PYTHON", "Python that `isthmus run` starts. Default: the one Isthmus is installed in."},
};

static const struct {
    const char *code, *what;
} exit_statuses[] = {
    {"0", "Done."},
    {"1", "The operation failed; standard error says why."},
    {"2", "The command was not typed right."},
};

#define COUNT(array) (sizeof(array) / sizeof *(array))

/* Words wrapped at WIDTH, each line indented; the first line starts at column `at`. */
static void wrap(FILE *out, const char *text, size_t size, int indent, int at)
{
    int column = at;
    bool first = true;
    for (size_t i = 0; i < size;) {
        while (i < size && isspace((unsigned char)text[i]))
            i++;
        size_t word = i;
        while (i < size && !isspace((unsigned char)text[i]))
            i++;
        if (i == word)
            break;
        if (!first && column + 1 + (int)(i - word) > WIDTH) {
            fprintf(out, "\n%*s", indent, "");
            column = indent;
        } else if (!first) {
            fputc(' ', out);
            column++;
        }
        fprintf(out, "%.*s", (int)(i - word), text + word);
        column += (int)(i - word);
        first = false;
    }
    fputc('\n', out);
}

/* Call emit for each paragraph. */
static void paragraphs(const char *text, void (*emit)(FILE *, const char *, size_t), FILE *out)
{
    while (*text) {
        const char *end = strstr(text, "\n\n");
        size_t size = end ? (size_t)(end - text) : strlen(text);
        emit(out, text, size);
        text += size + (end ? 2 : 0);
    }
}

static bool verbatim(const char *text)
{
    return strncmp(text, "    ", 4) == 0;
}

static void text_paragraph(FILE *out, const char *text, size_t size)
{
    if (verbatim(text)) {
        fprintf(out, "%.*s\n\n", (int)size, text);
    } else {
        wrap(out, text, size, 0, 0);
        fputc('\n', out);
    }
}

/* "--limit N", "--mode append|overwrite". */
static void option_usage(FILE *out, const cli_option *option)
{
    fprintf(out, "--%s", option->name);
    if (option->kind != CLI_FLAG)
        fprintf(out, " %s", option->value);
}

static size_t option_usage_width(const cli_option *option)
{
    return 2 + strlen(option->name) + (option->kind != CLI_FLAG ? 1 + strlen(option->value) : 0);
}

static const char *shown_default(const cli_option *option)
{
    return option->fallback ? option->fallback : option->shown;
}

bool cli_is_group(const cli_command *commands, const char *group)
{
    size_t size = strlen(group);
    for (const cli_command *command = commands; command->name; command++)
        if (strncmp(command->name, group, size) == 0 && command->name[size] == ' ')
            return true;
    return false;
}

void cli_help_overview(const cli_command *commands, const char *group, FILE *out)
{
    if (group)
        fprintf(out, "usage: isthmus %s COMMAND [OPTION...]\n\n", group);
    else
        fprintf(out, "isthmus: %s\n\nusage: isthmus COMMAND [OPTION...] [ARGUMENT...]\n\n", about);
    size_t size = group ? strlen(group) : 0, widest = 0;
    for (const cli_command *command = commands; command->name; command++)
        if (strlen(command->name) > widest)
            widest = strlen(command->name);
    for (const cli_command *command = commands; command->name; command++)
        if (!group || (strncmp(command->name, group, size) == 0 && strchr(" ", command->name[size])))
            fprintf(out, "  %-*s  %s\n", (int)widest, command->name, command->summary);
    fprintf(out, "\n`isthmus COMMAND --help` tells about one of them.\n");
}

void cli_help_text(const cli_command *command, FILE *out)
{
    const cli_page *page = command->page;
    bool common;
    const cli_option *option;
    fprintf(out, "usage: isthmus %s [OPTION...]%s%s\n\n", command->name, *page->arguments ? " " : "", page->arguments);
    paragraphs(page->description, text_paragraph, out);
    fprintf(out, "Options:\n");
    for (size_t i = 0; (option = cli_option_at(page, i, &common)); i++) {
        enum { INDENT = 24 };
        size_t width = option_usage_width(option);
        fprintf(out, "  ");
        option_usage(out, option);
        if (width + 4 > INDENT)
            fprintf(out, "\n%*s", INDENT, "");
        else
            fprintf(out, "%*s", INDENT - 2 - (int)width, "");
        wrap(out, option->help, strlen(option->help), INDENT, INDENT);
        if (shown_default(option))
            fprintf(out, "%*sDefault: %s.\n", INDENT, "", shown_default(option));
    }
    if (page->examples) {
        fprintf(out, "\nExamples:\n");
        for (const cli_example *example = page->examples; example->command; example++)
            fprintf(out, "  %s\n      %s\n", example->command, example->what);
    }
    fprintf(out, "\nExit status:\n");
    for (size_t i = 0; i < COUNT(exit_statuses); i++)
        fprintf(out, "  %s  %s\n", exit_statuses[i].code, exit_statuses[i].what);
}

/* ---- man pages (man(7)) ------------------------------------------------------------------------------------- */

/* Text with what roff would take for itself escaped. */
static void roff(FILE *out, const char *text, size_t size)
{
    for (size_t i = 0; i < size; i++) {
        char c = text[i];
        bool line_start = i == 0 || text[i - 1] == '\n';
        if (line_start && (c == '.' || c == '\''))
            fputs("\\&", out);
        if (c == '\\')
            fputs("\\e", out);
        else if (c == '-')
            fputs("\\-", out);
        else if (c == '`')
            fputs("\\(ga", out);
        else if (c == '\'')
            fputs("\\(aq", out);
        else if (c == '~')
            fputs("\\(ti", out);
        else
            fputc(c, out);
    }
}

static void roff_line(FILE *out, const char *text)
{
    roff(out, text, strlen(text));
    fputc('\n', out);
}

static void man_paragraph(FILE *out, const char *text, size_t size)
{
    fputs(verbatim(text) ? ".PP\n.EX\n" : ".PP\n", out);
    roff(out, text, size);
    fputs(verbatim(text) ? "\n.EE\n" : "\n", out);
}

static void man_header(FILE *out, const char *name, const char *summary)
{
    fprintf(out, ".TH \"");
    for (const char *p = name; *p; p++)
        fputs(*p == ' ' ? "\\-" : (char[]){(char)toupper((unsigned char)*p), '\0'}, out);
    fprintf(out, "\" 1 \"\" \"Isthmus %s\" \"Isthmus\"\n.SH NAME\n", IST_VERSION);
    for (const char *p = name; *p; p++)
        fputs(*p == ' ' ? "\\-" : (char[]){*p, '\0'}, out);
    fputs(" \\- ", out);
    roff_line(out, summary);
}

static void man_command(const cli_command *command, FILE *out)
{
    const cli_page *page = command->page;
    bool common;
    const cli_option *option;
    char name[64];
    snprintf(name, sizeof name, "isthmus %s", command->name);
    man_header(out, name, command->summary);
    fprintf(out, ".SH SYNOPSIS\n.B %s\n[\\fIOPTION\\fR...] ", name);
    roff_line(out, page->arguments);
    fprintf(out, ".SH DESCRIPTION\n");
    paragraphs(page->description, man_paragraph, out);
    fprintf(out, ".SH OPTIONS\n");
    for (size_t i = 0; (option = cli_option_at(page, i, &common)); i++) {
        fprintf(out, ".TP\n\\fB");
        roff(out, "--", 2);
        roff(out, option->name, strlen(option->name));
        fprintf(out, "\\fR");
        if (option->kind != CLI_FLAG) {
            fprintf(out, " \\fI");
            roff(out, option->value, strlen(option->value));
            fprintf(out, "\\fR");
        }
        fputc('\n', out);
        roff_line(out, option->help);
        if (shown_default(option)) {
            fprintf(out, "Default: ");
            roff(out, shown_default(option), strlen(shown_default(option)));
            fprintf(out, ".\n");
        }
    }
    if (page->examples) {
        fprintf(out, ".SH EXAMPLES\n");
        for (const cli_example *example = page->examples; example->command; example++) {
            fprintf(out, ".TP\n.B ");
            roff_line(out, example->command);
            roff_line(out, example->what);
        }
    }
}

static void man_end(FILE *out)
{
    fprintf(out, ".SH \"EXIT STATUS\"\n");
    for (size_t i = 0; i < COUNT(exit_statuses); i++) {
        fprintf(out, ".TP\n.B %s\n", exit_statuses[i].code);
        roff_line(out, exit_statuses[i].what);
    }
    fprintf(out, ".SH ENVIRONMENT\n");
    for (size_t i = 0; i < COUNT(environment); i++) {
        fprintf(out, ".TP\n.B %s\n", environment[i].name);
        roff_line(out, environment[i].what);
    }
}

void cli_help_man(const cli_command *commands, const cli_command *command, FILE *out)
{
    if (command) {
        man_command(command, out);
        man_end(out);
        fprintf(out, ".SH \"SEE ALSO\"\n.BR isthmus (1)\n");
        return;
    }
    man_header(out, "isthmus", about);
    fprintf(out, ".SH SYNOPSIS\n.B isthmus\n\\fICOMMAND\\fR [\\fIOPTION\\fR...] [\\fIARGUMENT\\fR...]\n.SH COMMANDS\n");
    for (const cli_command *c = commands; c->name; c++) {
        fprintf(out, ".TP\n.B ");
        roff_line(out, c->name);
        roff_line(out, c->summary);
    }
    man_end(out);
}

/* ---- Markdown ----------------------------------------------------------------------------------------------- */

static void markdown_paragraph(FILE *out, const char *text, size_t size)
{
    fprintf(out, "%.*s\n\n", (int)size, text);
}

/* A cell of a Markdown table: a bar would end it. */
static void markdown_cell(FILE *out, const char *text)
{
    for (; *text; text++)
        fputs(*text == '|' ? "\\|" : (char[]){*text, '\0'}, out);
}

static void markdown_command(const cli_command *command, FILE *out)
{
    const cli_page *page = command->page;
    bool common;
    const cli_option *option;
    fprintf(out, "## isthmus %s\n\n%s.\n\n", command->name, command->summary);
    fprintf(out, "    isthmus %s [OPTION...]%s%s\n\n", command->name, *page->arguments ? " " : "", page->arguments);
    paragraphs(page->description, markdown_paragraph, out);
    fprintf(out, "| option | what it does | default |\n|---|---|---|\n");
    for (size_t i = 0; (option = cli_option_at(page, i, &common)); i++) {
        fprintf(out, "| `--");
        markdown_cell(out, option->name);
        if (option->kind != CLI_FLAG) {
            fputc(' ', out);
            markdown_cell(out, option->value);
        }
        fprintf(out, "` | ");
        markdown_cell(out, option->help);
        fprintf(out, " | %s |\n", shown_default(option) ? shown_default(option) : "");
    }
    fputc('\n', out);
    for (const cli_example *example = page->examples; example && example->command; example++)
        fprintf(out, "%s:\n\n    %s\n\n", example->what, example->command);
}

void cli_help_markdown(const cli_command *commands, FILE *out)
{
    fprintf(out, "# The isthmus command\n\n<!-- Made by `isthmus help --markdown`; a test compares. -->\n\n");
    fprintf(out, "| command | what it does |\n|---|---|\n");
    for (const cli_command *command = commands; command->name; command++)
        fprintf(out, "| `isthmus %s` | %s |\n", command->name, command->summary);
    fprintf(out, "\nResults go to standard output. Errors go to standard error, one line `isthmus: <operation>: "
                 "<message>`,\nor with `--json` one object `{\"error\": {\"operation\", \"status\", \"message\", "
                 "\"where\", \"code\"}}`.\n\n");
    fprintf(out, "| exit status | meaning |\n|---|---|\n");
    for (size_t i = 0; i < COUNT(exit_statuses); i++)
        fprintf(out, "| %s | %s |\n", exit_statuses[i].code, exit_statuses[i].what);
    fprintf(out, "\n| environment | meaning |\n|---|---|\n");
    for (size_t i = 0; i < COUNT(environment); i++)
        fprintf(out, "| `%s` | %s |\n", environment[i].name, environment[i].what);
    fputc('\n', out);
    for (const cli_command *command = commands; command->name; command++)
        markdown_command(command, out);
}
