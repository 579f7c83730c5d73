/* `howdah-php cli`: the PHP command line (sapi/cli/php_cli.c is a program of its own and is not in libphp). */
#include "shim.h"
#include <php_getopt.h>
#include <zend_extensions.h>
#include <zend_signal.h>
#include <zend_highlight.h>
#include <zend_smart_str.h>
#include <signal.h>
#include <unistd.h>

#define LONG_OPTION_RF 10
#define LONG_OPTION_RC 11
#define LONG_OPTION_RE 12
#define LONG_OPTION_RZ 13
#define LONG_OPTION_RI 14
#define LONG_OPTION_INI 15

static const opt_struct options[] = {
	{'a', 0, "interactive"}, {'B', 1, "process-begin"}, {'c', 1, "php-ini"}, {'d', 1, "define"}, {'E', 1, "process-end"},
	{'e', 0, "profile-info"}, {'F', 1, "process-file"}, {'f', 1, "file"}, {'h', 0, "help"}, {'i', 0, "info"},
	{'l', 0, "syntax-check"}, {'m', 0, "modules"}, {'n', 0, "no-php-ini"}, {'q', 0, "no-header"},
	{'R', 1, "process-code"}, {'r', 1, "run"}, {'s', 0, "syntax-highlight"}, {'v', 0, "version"}, {'w', 0, "strip"},
	{'?', 0, "usage"}, {'z', 1, "zend-extension"}, {LONG_OPTION_RF, 1, "rf"}, {LONG_OPTION_RC, 1, "rc"},
	{LONG_OPTION_RE, 1, "re"}, {LONG_OPTION_RZ, 1, "rz"}, {LONG_OPTION_RI, 1, "ri"}, {LONG_OPTION_INI, 0, "ini"},
	{'-', 0, NULL},
};

static const char usage[] =
	"Usage: php [options] [-f] <file> [--] [args...]\n"
	"   php [options] -r <code> [--] [args...]\n"
	"   php [options] [-- [args...]]\n\n"
	"  -c <path>|<file> Look for php.ini file in this directory\n"
	"  -n               No configuration (ini) files will be used\n"
	"  -d foo[=bar]     Define INI entry foo with value 'bar'\n"
	"  -f <file>        Parse and execute <file>.\n"
	"  -h               This help\n"
	"  -i               PHP information\n"
	"  -l               Syntax check only (lint)\n"
	"  -m               Show compiled in modules\n"
	"  -r <code>        Run PHP <code> without using script tags <?..?>\n"
	"  -s               Output HTML syntax highlighted source.\n"
	"  -v               Version number\n"
	"  -w               Output source with stripped comments and whitespace.\n"
	"  -z <file>        Load Zend extension <file>.\n\n"
	"  args...          Arguments passed to script. Use -- args when first argument\n"
	"                   starts with - or script is read from stdin\n\n"
	"  --ini            Show configuration file names\n"
	"  --rf <name>      Show information about function <name>.\n"
	"  --rc <name>      Show information about class <name>.\n"
	"  --re <name>      Show information about extension <name>.\n"
	"  --rz <name>      Show information about Zend extension <name>.\n"
	"  --ri <name>      Show configuration for extension <name>.\n\n";

/* What the command line asks for. */
static struct {
	int action; /* an option's character; 'f' runs a script, or standard input */
	const char *argument;
	const char *script;
	smart_str entries;
	char *ini_path;
	bool no_ini;
	int rest; /* index of the first argument of the script */
} wanted = {.action = 'f'};

static size_t cli_write(const char *data, size_t length)
{
	size_t written = 0;

	while (written < length) {
		ssize_t done = write(STDOUT_FILENO, data + written, length - written);
		if (done >= 0) {
			written += (size_t) done;
		} else if (errno != EINTR && errno != EAGAIN) {
			php_handle_aborted_connection();
			break;
		}
	}
	return length;
}

static void cli_flush(void *context)
{
	(void) context;
}

static int cli_deactivate(void)
{
	fflush(stdout);
	return SUCCESS;
}

static void cli_log(const char *message, int priority)
{
	(void) priority;
	fprintf(stderr, "%s\n", message);
}

static void cli_send_header(sapi_header_struct *header, void *context)
{
	(void) header;
	(void) context;
}

static int cli_headers(sapi_headers_struct *headers)
{
	(void) headers;
	return SAPI_HEADER_SENT_SUCCESSFULLY;
}

static char *cli_cookies(void)
{
	return NULL;
}

static void cli_variables(zval *array)
{
	const char *script = SG(request_info).path_translated ? SG(request_info).path_translated : "";

	php_import_environment_variables(array);
	php_register_variable("PHP_SELF", script, array);
	php_register_variable("SCRIPT_NAME", script, array);
	php_register_variable("SCRIPT_FILENAME", script, array);
	php_register_variable("PATH_TRANSLATED", script, array);
	php_register_variable("DOCUMENT_ROOT", "", array);
}

static void cli_default(HashTable *configuration, const char *name, const char *value)
{
	zval entry;

	ZVAL_NEW_STR(&entry, zend_string_init(value, strlen(value), true));
	zend_hash_str_update(configuration, name, strlen(name), &entry);
}

static void cli_ini_defaults(HashTable *configuration)
{
	cli_default(configuration, "display_errors", "1");
}

static int cli_startup(sapi_module_struct *sapi)
{
	return php_module_startup(sapi, NULL);
}

static sapi_module_struct cli = {
	.name = "cli",
	.pretty_name = "Command Line Interface",
	.startup = cli_startup,
	.shutdown = php_module_shutdown_wrapper,
	.deactivate = cli_deactivate,
	.ub_write = cli_write,
	.flush = cli_flush,
	.sapi_error = zend_error,
	.send_headers = cli_headers,
	.send_header = cli_send_header,
	.read_cookies = cli_cookies,
	.register_server_variables = cli_variables,
	.log_message = cli_log,
	.ini_defaults = cli_ini_defaults,
	.phpinfo_as_text = 1,
	.php_ini_ignore_cwd = 1,
};

/* A line of php.ini for `-d`; a value that is no plain word is put in quotes. */
static void add_entry(const char *text)
{
	const char *value = strchr(text, '=');

	if (!value) {
		smart_str_appends_ex(&wanted.entries, text, true);
		smart_str_appends_ex(&wanted.entries, "=1\n", true);
		return;
	}
	value++;
	if (!isalnum((unsigned char) *value) && *value != '"' && *value != '\'' && *value != '\0') {
		smart_str_appendl_ex(&wanted.entries, text, (size_t) (value - text), true);
		smart_str_appendc_ex(&wanted.entries, '"', true);
		smart_str_appends_ex(&wanted.entries, value, true);
		smart_str_appends_ex(&wanted.entries, "\"\n", true);
	} else {
		smart_str_appends_ex(&wanted.entries, text, true);
		smart_str_appendc_ex(&wanted.entries, '\n', true);
	}
}

/* False if the arguments make no sense. */
static bool parse(int argc, char **argv)
{
	int option, index = 1, start = 2;
	char *argument = NULL;

	while ((option = php_getopt(argc, argv, options, &argument, &index, 1, start)) != -1) {
		switch (option) {
			case 'c':
				wanted.ini_path = argument;
				break;
			case 'n':
				wanted.no_ini = true;
				break;
			case 'd':
				add_entry(argument);
				break;
			case 'z':
				smart_str_appends_ex(&wanted.entries, "zend_extension=", true);
				smart_str_appends_ex(&wanted.entries, argument, true);
				smart_str_appendc_ex(&wanted.entries, '\n', true);
				break;
			case 'e':
			case 'q':
				break;
			case 'f':
				wanted.script = argument;
				break;
			case 'a':
			case 'B':
			case 'E':
			case 'F':
			case 'R':
				fprintf(stderr, "option -%c is for the real php command line\n", option);
				return false;
			case PHP_GETOPT_INVALID_ARG:
				return false;
			default:
				wanted.action = option;
				wanted.argument = argument;
		}
	}
	wanted.rest = index;
	/* After `--` all are arguments of a script from -r or standard input. */
	if (!wanted.script && index < argc && strchr("flsw", wanted.action)
		&& !(index > 1 && !strcmp(argv[index - 1], "--"))) {
		wanted.script = argv[index];
		wanted.rest = index + 1;
	}
	return true;
}

static int print_module(zval *element, void *unused)
{
	(void) unused;
	php_printf("%s\n", ((zend_module_entry *) Z_PTR_P(element))->name);
	return ZEND_HASH_APPLY_KEEP;
}

static int compare_modules(Bucket *left, Bucket *right)
{
	return strcasecmp(((zend_module_entry *) Z_PTR(left->val))->name, ((zend_module_entry *) Z_PTR(right->val))->name);
}

static void print_extension(zend_extension *extension)
{
	php_printf("%s\n", extension->name);
}

static void print_modules(void)
{
	HashTable sorted;
	zend_module_entry *module;

	zend_hash_init(&sorted, 64, NULL, NULL, true);
	ZEND_HASH_FOREACH_PTR(&module_registry, module) {
		zend_hash_next_index_insert_ptr(&sorted, module);
	} ZEND_HASH_FOREACH_END();
	zend_hash_sort(&sorted, compare_modules, 0);
	php_printf("[PHP Modules]\n");
	zend_hash_apply_with_argument(&sorted, print_module, NULL);
	zend_hash_destroy(&sorted);
	php_printf("\n[Zend Modules]\n");
	zend_llist_apply(&zend_extensions, (llist_apply_func_t) print_extension);
	php_printf("\n");
}

static void define_stream(const char *name, size_t length, const char *url, const char *mode)
{
	php_stream_context *context = php_stream_context_alloc();
	php_stream *stream = php_stream_open_wrapper_ex((char *) url, mode, 0, NULL, context);
	zend_constant constant;

	if (!stream) {
		return;
	}
	/* The script's end must not close the descriptor before PHP's own output is written. */
	stream->flags |= PHP_STREAM_FLAG_NO_CLOSE;
	php_stream_to_zval(stream, &constant.value);
	Z_CONSTANT_FLAGS(constant.value) = 0;
	ZEND_CONSTANT_SET_FLAGS(&constant, 0, 0);
	constant.name = zend_string_init_interned(name, length, false);
	zend_register_constant(&constant);
}

static void define_streams(void)
{
	define_stream(ZEND_STRL("STDIN"), "php://stdin", "rb");
	define_stream(ZEND_STRL("STDOUT"), "php://stdout", "wb");
	define_stream(ZEND_STRL("STDERR"), "php://stderr", "wb");
}

/* --rf and its like: the same as PHP's, by its Reflection classes. */
static void reflect(const char *class, const char *name)
{
	smart_str code = {0};
	const char *byte;

	smart_str_appends(&code, "try { echo new ");
	smart_str_appends(&code, class);
	smart_str_appends(&code, "('");
	for (byte = name; *byte; byte++) {
		if (*byte == '\'' || *byte == '\\') {
			smart_str_appendc(&code, '\\');
		}
		smart_str_appendc(&code, *byte);
	}
	smart_str_appends(&code, "'), \"\\n\"; } catch (ReflectionException $e) { echo 'Exception: ', $e->getMessage(), \"\\n\"; exit(1); }");
	smart_str_0(&code);
	zend_eval_string_ex(ZSTR_VAL(code.s), NULL, "Command line code", true);
	smart_str_free(&code);
}

static void module_settings(const char *name)
{
	zend_string *lower = zend_string_tolower(zend_string_init(name, strlen(name), false));
	zend_module_entry *module = zend_hash_find_ptr(&module_registry, lower);

	if (module) {
		php_info_print_module(module);
	} else {
		php_printf("Extension '%s' not present.\n", name);
		EG(exit_status) = 1;
	}
}

static bool open_script(zend_file_handle *file)
{
	if (wanted.script) {
		char resolved[MAXPATHLEN];
		FILE *opened = VCWD_FOPEN(wanted.script, "rb");

		if (!opened) {
			php_printf("Could not open input file: %s\n", wanted.script);
			return false;
		}
		zend_stream_init_fp(file, opened, wanted.script);
		/* What __FILE__ is; the messages of -l name the file as it was given. */
		if (wanted.action != 'l' && VCWD_REALPATH(wanted.script, resolved)) {
			file->opened_path = zend_string_init(resolved, strlen(resolved), false);
		}
	} else {
		zend_stream_init_fp(file, stdin, "Standard input code");
	}
	file->primary_script = 1;
	return true;
}

static void run_script(void)
{
	zend_file_handle file;

	if (!open_script(&file)) {
		EG(exit_status) = 1;
		return;
	}
	CG(skip_shebang) = 1;
	define_streams();
	zend_is_auto_global_str(ZEND_STRL("_SERVER"));
	switch (wanted.action) {
		case 'l':
			if (php_lint_script(&file) == SUCCESS) {
				php_printf("No syntax errors detected in %s\n", wanted.script ? wanted.script : "Standard input code");
			} else {
				php_printf("Errors parsing %s\n", wanted.script ? wanted.script : "Standard input code");
				EG(exit_status) = 255;
			}
			break;
		case 's': {
			zend_syntax_highlighter_ini colours;
			if (open_file_for_scanning(&file) == SUCCESS) {
				php_get_highlight_struct(&colours);
				zend_highlight(&colours);
			}
			break;
		}
		case 'w':
			if (open_file_for_scanning(&file) == SUCCESS) {
				zend_strip();
			}
			break;
		default:
			php_execute_script(&file);
	}
	zend_destroy_file_handle(&file);
}

static const char show_ini[] =
	"echo 'Configuration File (php.ini) Path: ', PHP_CONFIG_FILE_PATH, \"\\n\","
	"'Loaded Configuration File:         ', php_ini_loaded_file() ?: '(none)', \"\\n\","
	"'Scan for additional .ini files in: ', PHP_CONFIG_FILE_SCAN_DIR ?: '(none)', \"\\n\","
	"'Additional .ini files parsed:      ', php_ini_scanned_files() ?: \"(none)\\n\", \"\\n\";";

static void run(void)
{
	switch (wanted.action) {
		case 'v':
			php_printf("PHP %s (%s) (built: %s %s) (%s)\nCopyright (c) The PHP Group\n%s", PHP_VERSION, sapi_module.name, __DATE__, __TIME__,
				ZEND_DEBUG ? "NTS DEBUG" : "NTS", get_zend_version());
			break;
		case 'm':
			print_modules();
			break;
		case 'i':
			php_print_info(PHP_INFO_ALL & ~PHP_INFO_CREDITS);
			break;
		case LONG_OPTION_INI:
			zend_eval_string_ex(show_ini, NULL, "Command line code", true);
			break;
		case 'r':
			define_streams();
			zend_is_auto_global_str(ZEND_STRL("_SERVER"));
			zend_eval_string_ex(wanted.argument, NULL, "Command line code", true);
			break;
		case LONG_OPTION_RF:
			reflect(strstr(wanted.argument, "::") ? "ReflectionMethod" : "ReflectionFunction", wanted.argument);
			break;
		case LONG_OPTION_RC:
			reflect("ReflectionClass", wanted.argument);
			break;
		case LONG_OPTION_RE:
			reflect("ReflectionExtension", wanted.argument);
			break;
		case LONG_OPTION_RZ:
			reflect("ReflectionZendExtension", wanted.argument);
			break;
		case LONG_OPTION_RI:
			module_settings(wanted.argument);
			break;
		default:
			run_script();
	}
}

/* argv[0] of the script is its name; nothing is copied, the vector has room. */
static void set_arguments(int argc, char **argv)
{
	int first = wanted.rest - 1;

	argv[first] = wanted.action == 'r' ? "Standard input code" : wanted.script ? (char *) wanted.script : "Standard input code";
	SG(request_info).argc = argc - first;
	SG(request_info).argv = argv + first;
	SG(request_info).argv0 = argv[first];
	SG(request_info).path_translated = (char *) wanted.script;
}

int howdah_cli(int argc, char **argv)
{
	int status;

	signal(SIGPIPE, SIG_IGN);
	zend_signal_startup();
	/* First, so that -d may change them. */
	smart_str_appends_ex(&wanted.entries,
		"html_errors=0\nregister_argc_argv=1\nimplicit_flush=1\noutput_buffering=0\nmax_execution_time=0\nmax_input_time=-1\n", true);
	if (!parse(argc, argv)) {
		fputs(usage, stdout);
		return 1;
	}
	if (wanted.action == 'h' || wanted.action == '?') {
		fputs(usage, stdout);
		return 0;
	}
	smart_str_0(&wanted.entries);
	cli.php_ini_path_override = wanted.ini_path;
	cli.php_ini_ignore = wanted.no_ini;
	cli.executable_location = argv[0];
	sapi_startup(&cli);
	/* It has forgotten any that were set before. */
	cli.ini_entries = ZSTR_VAL(wanted.entries.s);
	if (cli.startup(&cli) == FAILURE) {
		return 1;
	}
	set_arguments(argc, argv);
	SG(headers_sent) = 1;
	SG(request_info).no_headers = 1;
	/* A command works where it was started, not where its script is. */
	SG(options) |= SAPI_OPTION_NO_CHDIR;
	if (php_request_startup() == FAILURE) {
		return 1;
	}
	SG(headers_sent) = 1;
	SG(request_info).no_headers = 1;
	zend_try {
		run();
	} zend_end_try();
	zend_try {
		php_request_shutdown(NULL);
	} zend_end_try();
	status = EG(exit_status);
	php_module_shutdown();
	sapi_shutdown();
	return status;
}
