/* What one request must not leave to the next one of the same worker, and what the boot of the application leaves to all. */
#include "shim.h"
#include <ext/date/php_date.h>
#include <ext/random/php_random.h>
#include <ext/session/php_session.h>
#include <locale.h>
#include <fcntl.h>
#include <unistd.h>

/* Modules with a state of their own for each request. The session comes last at the end: its handlers may still use the others. */
static const char *const module_names[] = {"filter", "zlib", "mbstring", "session"};
#define MODULE_COUNT (sizeof(module_names) / sizeof(module_names[0]))
static zend_module_entry *modules[MODULE_COUNT];
static php_ps_globals *session_globals;
/* session_set_save_handler()'s callables; the structure has one zval for each and nothing else. */
#define HANDLER_COUNT (sizeof(((php_ps_globals *) NULL)->mod_user_names) / sizeof(zval))
static zval session_handlers[HANDLER_COUNT];

/* The application's, from the end of its boot on. */
static int boot_directory = -1;
static char *boot_locale;
static char *boot_timezone;
static zend_date_globals *timezones;

void howdah_reset_find_modules(void)
{
	size_t index;

	for (index = 0; index < MODULE_COUNT; index++) {
		modules[index] = zend_hash_str_find_ptr(&module_registry, module_names[index], strlen(module_names[index]));
	}
	if (modules[MODULE_COUNT - 1]) {
		session_globals = modules[MODULE_COUNT - 1]->globals_ptr;
	}
	zend_module_entry *date = zend_hash_str_find_ptr(&module_registry, ZEND_STRL("date"));
	if (date) {
		timezones = date->globals_ptr;
	}
}

/* The generators are seeded at first use; a forked child, or another user's request, must not go on with a known state. */
void howdah_reset_random(void)
{
	RANDOM_G(combined_lcg_seeded) = false;
	RANDOM_G(mt19937_seeded) = false;
}

/* The directives that the boot changed keep their values: they count as unchanged from here on. */
static void keep_directives(void)
{
	zend_ini_entry *entry;

	if (!EG(modified_ini_directives)) {
		return;
	}
	ZEND_HASH_FOREACH_PTR(EG(modified_ini_directives), entry) {
		entry->modified = 0;
		entry->orig_value = NULL;
		entry->orig_modifiable = 0;
	} ZEND_HASH_FOREACH_END();
	zend_hash_destroy(EG(modified_ini_directives));
	FREE_HASHTABLE(EG(modified_ini_directives));
	EG(modified_ini_directives) = NULL;
}

static zval *session_handler(size_t index)
{
	return (zval *) &session_globals->mod_user_names + index;
}

/* session_set_save_handler() before the loop counts for every request; the module's end of a request would drop it. */
static void keep_session_handlers(void)
{
	size_t index;

	if (!session_globals) {
		return;
	}
	for (index = 0; index < HANDLER_COUNT; index++) {
		ZVAL_COPY(&session_handlers[index], session_handler(index));
	}
}

static void restore_session_handlers(void)
{
	size_t index;

	if (!session_globals) {
		return;
	}
	for (index = 0; index < HANDLER_COUNT; index++) {
		zval *handler = session_handler(index);
		if (Z_ISUNDEF_P(handler) && !Z_ISUNDEF(session_handlers[index])) {
			ZVAL_COPY(handler, &session_handlers[index]);
		}
	}
}

void howdah_reset_after_boot(void)
{
	const char *locale = setlocale(LC_ALL, NULL);

	keep_directives();
	keep_session_handlers();
	boot_locale = locale ? strdup(locale) : NULL;
	boot_timezone = timezones && timezones->timezone ? strdup(timezones->timezone) : NULL;
	boot_directory = open(".", O_PATH | O_DIRECTORY | O_CLOEXEC);
}

static void start_output(void)
{
	php_output_activate();
	if (PG(output_handler) && PG(output_handler)[0]) {
		zval handler;

		ZVAL_STRING(&handler, PG(output_handler));
		php_output_start_user(&handler, 0, PHP_OUTPUT_HANDLER_STDFLAGS);
		zval_ptr_dtor(&handler);
	} else if (PG(output_buffering)) {
		php_output_start_user(NULL, PG(output_buffering) > 1 ? PG(output_buffering) : 0, PHP_OUTPUT_HANDLER_STDFLAGS);
	} else if (PG(implicit_flush)) {
		php_output_set_implicit_flush(1);
	}
}

/* php_hash_environment() forgets the arrays without freeing them. $_SERVER and a $_REQUEST that is in use are made at once: the
 * code that would make them at its first use was compiled in an earlier request. */
static void import_globals(void)
{
	size_t index;
	bool has_request = zend_hash_str_exists(&EG(symbol_table), ZEND_STRL("_REQUEST"));

	for (index = 0; index < NUM_TRACK_VARS; index++) {
		zval_ptr_dtor(&PG(http_globals)[index]);
		ZVAL_UNDEF(&PG(http_globals)[index]);
	}
	php_hash_environment();
	zend_is_auto_global_str(ZEND_STRL("_SERVER"));
	if (has_request) {
		zend_is_auto_global_str(ZEND_STRL("_REQUEST"));
	}
}

void howdah_reset_begin(void)
{
	size_t index;

	zend_memory_reset_peak_usage();
	PG(header_is_being_sent) = 0;
	PG(connection_status) = PHP_CONNECTION_NORMAL;
	EG(exit_status) = 0;
	SG(headers_sent) = 0;
	start_output();
	sapi_activate();
	SG(sapi_started) = 1;
	if (PG(expose_php)) {
		sapi_add_header(SAPI_PHP_VERSION_HEADER, sizeof(SAPI_PHP_VERSION_HEADER) - 1, 1);
	}
	import_globals();
	for (index = 0; index < MODULE_COUNT; index++) {
		if (modules[index] && modules[index]->request_startup_func) {
			modules[index]->request_startup_func(modules[index]->type, modules[index]->module_number);
		}
	}
	restore_session_handlers();
}

void howdah_reset_modules_end(void)
{
	size_t index;

	for (index = MODULE_COUNT; index-- > 0;) {
		if (modules[index] && modules[index]->request_shutdown_func) {
			modules[index]->request_shutdown_func(modules[index]->type, modules[index]->module_number);
		}
	}
	zend_hash_str_del(&EG(symbol_table), ZEND_STRL("_SESSION"));
}

/* The body's stream, and the php://input streams over it: a script may have kept one. */
static void close_body(void)
{
	zend_resource *resource;
	php_stream *body = SG(request_info).request_body;

	if (!body) {
		return;
	}
	ZEND_HASH_FOREACH_PTR(&EG(regular_list), resource) {
		php_stream *stream = resource->ptr;
		if (resource->type == php_file_le_stream() && stream && !strcmp(stream->ops->label, "Input")) {
			zend_list_close(resource);
		}
	} ZEND_HASH_FOREACH_END();
	SG(request_info).request_body = NULL;
	php_stream_close(body);
}

static void clear_last_error(void)
{
	if (PG(last_error_message)) {
		zend_string_release(PG(last_error_message));
		PG(last_error_message) = NULL;
	}
	if (PG(last_error_file)) {
		zend_string_release(PG(last_error_file));
		PG(last_error_file) = NULL;
	}
	PG(last_error_lineno) = 0;
	PG(last_error_type) = 0;
}

/* date_default_timezone_set() */
static void restore_timezone(void)
{
	if (!timezones || !timezones->timezone || (boot_timezone && !strcmp(timezones->timezone, boot_timezone))) {
		return;
	}
	efree(timezones->timezone);
	timezones->timezone = boot_timezone ? estrdup(boot_timezone) : NULL;
}

static void restore_process(void)
{
	if (BG(locale_changed) && boot_locale) {
		setlocale(LC_ALL, boot_locale);
		zend_update_current_locale();
		BG(locale_changed) = 0;
	}
	if (BG(umask) != -1) {
		umask(BG(umask));
		BG(umask) = -1;
	}
	if (boot_directory >= 0 && fchdir(boot_directory) != 0) {
		/* It is gone; the next script sees the same as after a chdir() of its own. */
		boot_directory = -1;
	}
}

void howdah_reset_end(void)
{
	zend_ini_deactivate();
	close_body();
	sapi_deactivate();
	clear_last_error();
	howdah_reset_random();
	restore_process();
	restore_timezone();
	if (BG(strtok_string)) {
		zend_string_release(BG(strtok_string));
		BG(strtok_string) = NULL;
		BG(strtok_last) = NULL;
		BG(strtok_len) = 0;
	}
}
