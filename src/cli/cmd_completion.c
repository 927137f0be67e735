/* cmd_completion.c: isthmus completion: scripts for shells, made from the tables of commands and options. */
#include "commands.h"
#include "help.h"
#include "output.h"

#include <string.h>

static const cli_example examples[] = {
    {"source <(isthmus completion bash)", "Completion in this bash; in ~/.bashrc for every one"},
    {"isthmus completion zsh > \"${fpath[1]}/_isthmus\"", "For zsh"},
    {"isthmus completion fish > ~/.config/fish/completions/isthmus.fish", "For fish"},
    {0},
};

const cli_page cmd_completion_page = {
    .arguments = "bash|zsh|fish",
    .description = "Prints a script that completes commands, options and the words that an option takes.",
    .examples = examples,
};

/* The first word of a command's name. */
static int first_word(const cli_command *command)
{
    return (int)strcspn(command->name, " ");
}

/* Is this the first command in the table with its first word? */
static bool starts_word(const cli_command *commands, const cli_command *command)
{
    for (const cli_command *c = commands; c < command; c++)
        if (first_word(c) == first_word(command) && strncmp(c->name, command->name, (size_t)first_word(c)) == 0)
            return false;
    return true;
}

/* Choices as words divided by spaces; those of an argument end with it. */
static void print_words(const char *choices)
{
    for (; *choices && !strchr(" ]", *choices); choices++)
        putchar(*choices == '|' ? ' ' : *choices);
}

/* The words that the first argument may be ("bash|zsh|fish", "[a|b] [NAME]"); NULL when it may be anything. */
static const char *argument_words(const cli_page *page)
{
    return strchr(page->arguments, '|') ? page->arguments + (*page->arguments == '[') : NULL;
}

static void print_bash(const cli_command *commands)
{
    bool common;
    const cli_option *option;
    printf("# bash completion for isthmus\n_isthmus() {\n"
           "    local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]} command=${COMP_WORDS[1]} words=\n"
           "    COMPREPLY=()\n"
           "    if (( COMP_CWORD == 1 )); then\n        COMPREPLY=($(compgen -W \"");
    for (const cli_command *c = commands; c->name; c++)
        if (starts_word(commands, c))
            printf("%.*s ", first_word(c), c->name);
    printf("--help --version\" -- \"$cur\"))\n        return\n    fi\n    case \"$command ${COMP_WORDS[2]}\" in\n");
    for (const cli_command *c = commands; c->name; c++)
        if (c->name[first_word(c)])
            printf("    \"%s\") (( COMP_CWORD > 2 )) && command=\"%s\" ;;\n", c->name, c->name);
    printf("    esac\n    case \"$command $prev\" in\n");
    for (const cli_command *c = commands; c->name; c++)
        for (size_t i = 0; (option = cli_option_at(c->page, i, &common)); i++)
            if (option->kind == CLI_CHOICE) {
                printf("    \"%s --%s\") COMPREPLY=($(compgen -W \"", c->name, option->name);
                print_words(option->value);
                printf("\" -- \"$cur\")); return ;;\n");
            } else if (option->kind != CLI_FLAG) {
                printf("    \"%s --%s\") return ;;\n", c->name, option->name);
            }
    printf("    esac\n    case \"$command\" in\n");
    for (const cli_command *c = commands; c->name; c++) {
        printf("    \"%s\") [[ $cur == -* ]] && words=\"", c->name);
        for (size_t i = 0; (option = cli_option_at(c->page, i, &common)); i++)
            printf("--%s ", option->name);
        printf("\" || words=\"");
        if (argument_words(c->page))
            print_words(argument_words(c->page));
        for (const cli_command *sub = commands; sub->name; sub++)
            if (sub->name[first_word(sub)] && (int)strlen(c->name) == first_word(sub) &&
                strncmp(sub->name, c->name, strlen(c->name)) == 0)
                printf(" %s", sub->name + first_word(sub) + 1);
        printf("\" ;;\n");
    }
    for (const cli_command *c = commands; c->name; c++) {
        int size = first_word(c);
        char group[32];
        snprintf(group, sizeof group, "%.*s", size, c->name);
        int used;
        if (!c->name[size] || !starts_word(commands, c) || cli_find(commands, 1, (char *[]){group}, &used))
            continue;
        printf("    \"%s\") words=\"", group);
        for (const cli_command *sub = commands; sub->name; sub++)
            if (first_word(sub) == size && strncmp(sub->name, group, (size_t)size) == 0)
                printf("%s ", sub->name + size + 1);
        printf("\" ;;\n");
    }
    printf("    esac\n    COMPREPLY=($(compgen -W \"$words\" -- \"$cur\"))\n}\n"
           "complete -o default -F _isthmus isthmus\n");
}

/* Text inside single quotes; `special`: characters that get a backslash. */
static void print_quoted(const char *text, const char *special)
{
    for (; *text; text++) {
        if (*text == '\'') {
            fputs("'\\''", stdout);
            continue;
        }
        if (strchr(special, *text))
            putchar('\\');
        putchar(*text);
    }
}

static void print_zsh_command(const cli_command *command)
{
    bool common;
    const cli_option *option;
    printf("            _arguments");
    for (size_t i = 0; (option = cli_option_at(command->page, i, &common)); i++) {
        printf(" \\\n                '--%s%s[", option->name, option->kind == CLI_FLAG ? "" : "=");
        print_quoted(option->help, "[]:\\");
        printf("]");
        if (option->kind == CLI_CHOICE) {
            printf(":%s:(", option->name);
            print_words(option->value);
            putchar(')');
        } else if (option->kind != CLI_FLAG) {
            printf(":%s:_files", option->value);
        }
        putchar('\'');
    }
    if (argument_words(command->page)) {
        printf(" \\\n                '1:word:(");
        print_words(argument_words(command->page));
        printf(")'");
    } else if (*command->page->arguments) {
        printf(" \\\n                '*:argument:_files'");
    }
    printf("\n            return\n            ;;\n");
}

static void print_zsh(const cli_command *commands)
{
    printf("#compdef isthmus\n# zsh completion for isthmus\n_isthmus() {\n    local -a names\n"
           "    if (( CURRENT == 2 )); then\n        names=(");
    for (const cli_command *c = commands; c->name; c++)
        if (starts_word(commands, c))
            printf(" %.*s", first_word(c), c->name);
    printf(" )\n        _describe command names\n        return\n    fi\n    if (( CURRENT > 3 )); then\n"
           "        case \"$words[2] $words[3]\" in\n");
    for (const cli_command *c = commands; c->name; c++)
        if (c->name[first_word(c)]) {
            printf("        '%s')\n            shift 2 words; (( CURRENT -= 2 ))\n", c->name);
            print_zsh_command(c);
        }
    printf("        esac\n    else\n        case \"$words[2]\" in\n");
    for (const cli_command *c = commands; c->name; c++) {
        if (!starts_word(commands, c) || !c->name[first_word(c)])
            continue;
        printf("        %.*s)\n            names=(", first_word(c), c->name);
        for (const cli_command *sub = commands; sub->name; sub++)
            if (sub->name[first_word(sub)] && strncmp(sub->name, c->name, (size_t)first_word(c) + 1) == 0) {
                printf(" '%s:", sub->name + first_word(sub) + 1);
                print_quoted(sub->summary, ":\\");
                putchar('\'');
            }
        printf(" )\n            _describe command names\n            ;;\n");
    }
    printf("        esac\n    fi\n    case \"$words[2]\" in\n");
    for (const cli_command *c = commands; c->name; c++)
        if (!c->name[first_word(c)]) {
            printf("        %s)\n            shift words; (( CURRENT -= 1 ))\n", c->name);
            print_zsh_command(c);
        }
    printf("    esac\n}\nif [[ $funcstack[1] == _isthmus ]]; then\n    _isthmus \"$@\"\nelse\n"
           "    compdef _isthmus isthmus\nfi\n");
}

/* The fish condition under which a command's options are offered. */
static void print_fish_condition(const cli_command *command)
{
    int size = first_word(command);
    printf("complete -c isthmus -n '__fish_seen_subcommand_from %.*s", size, command->name);
    if (command->name[size])
        printf("; and __fish_seen_subcommand_from %s", command->name + size + 1);
    printf("'");
}

static void print_fish(const cli_command *commands)
{
    bool common;
    const cli_option *option;
    printf("# fish completion for isthmus\n");
    for (const cli_command *c = commands; c->name; c++) {
        int size = first_word(c);
        if (starts_word(commands, c))
            printf("complete -c isthmus -n __fish_use_subcommand -f -a %.*s\n", size, c->name);
        if (c->name[size]) {
            printf("complete -c isthmus -n '__fish_seen_subcommand_from %.*s' -f -a %s -d '", size, c->name,
                   c->name + size + 1);
            print_quoted(c->summary, "");
            printf("'\n");
        }
        if (argument_words(c->page)) {
            print_fish_condition(c);
            printf(" -f -a '");
            print_words(argument_words(c->page));
            printf("'\n");
        }
        for (size_t i = 0; (option = cli_option_at(c->page, i, &common)); i++) {
            print_fish_condition(c);
            printf(" -l %s", option->name);
            if (option->kind == CLI_CHOICE) {
                printf(" -x -a '");
                print_words(option->value);
                printf("'");
            } else if (option->kind != CLI_FLAG) {
                printf(" -r");
            }
            printf(" -d '");
            print_quoted(option->help, "");
            printf("'\n");
        }
    }
}

ist_status cmd_completion(cli_call *call, ist_error *err)
{
    const char *shell = call->args[0];
    if (strcmp(shell, "bash") == 0)
        print_bash(call->commands);
    else if (strcmp(shell, "zsh") == 0)
        print_zsh(call->commands);
    else if (strcmp(shell, "fish") == 0)
        print_fish(call->commands);
    else
        return cli_usage(call, err, "'%s' is not one of %s", shell, call->command->page->arguments);
    return IST_OK;
}
