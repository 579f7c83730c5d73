/* What one request must not leave to the next one of the same worker. */
#include "shim.h"
#include <ext/random/php_random.h>
#include <ext/standard/php_filestat.h>
#include <ext/standard/url_scanner_ex.h>
#include <zend_smart_str.h>

/* Modules with a state of their own for each request. The session comes last at the end: its handlers may still use the others. */
static const char *const module_names[] = {"filter", "zlib", "mbstring", "session"};
#define MODULE_COUNT (sizeof(module_names) / sizeof(module_names[0]))
static zend_module_entry *modules[MODULE_COUNT];
void howdah_reset_find_modules(void)
{
	size_t index;

	for (index = 0; index < MODULE_COUNT; index++) {
		modules[index] = zend_hash_str_find_ptr(&module_registry, module_names[index], strlen(module_names[index]));
	}
}

/* The generators are seeded at first use; a forked child, or another user's request, must not go on with a known state. */
void howdah_reset_random(void)
{
	RANDOM_G(combined_lcg_seeded) = false;
	RANDOM_G(mt19937_seeded) = false;
}

/* What the script writes between two requests goes to the log. */
void howdah_reset_output(void)
{
	php_output_end_all();
	php_output_deactivate();
	zend_llist_clean(&SG(sapi_headers).headers);
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

/* What happens before and after a request's callback happens as if no script ran. Or an error handler of the application would make an
 * exception of what PHP says of a body that is too large, and one that a session's handler throws would end the worker's loop. */
static void without_script(void (*act)(void))
{
	zend_execute_data *script = EG(current_execute_data);
	volatile bool died = false;

	EG(current_execute_data) = NULL;
	zend_try {
		act();
	} zend_catch {
		died = true;
	} zend_end_try();
	EG(current_execute_data) = script;
	if (died) {
		zend_bailout();
	}
}

static void begin_modules(void)
{
	size_t index;

	import_globals();
	for (index = 0; index < MODULE_COUNT; index++) {
		if (modules[index] && modules[index]->request_startup_func) {
			modules[index]->request_startup_func(modules[index]->type, modules[index]->module_number);
		}
	}
	howdah_boot_begin();
}

static void begin(void)
{
	zval handler;

	ZVAL_COPY_VALUE(&handler, &EG(user_error_handler));
	ZVAL_UNDEF(&EG(user_error_handler));
	PG(during_request_startup) = true;
	/* The session's upload progress is kept while they are not (yet). */
	PG(modules_activated) = false;
	zend_try {
		sapi_activate();
		SG(sapi_started) = 1;
		if (PG(expose_php) && !SG(headers_sent)) {
			sapi_add_header(SAPI_PHP_VERSION_HEADER, sizeof(SAPI_PHP_VERSION_HEADER) - 1, 1);
		}
		begin_modules();
	} zend_catch {
		PG(modules_activated) = true;
		zend_bailout();
	} zend_end_try();
	PG(during_request_startup) = false;
	PG(modules_activated) = true;
	ZVAL_COPY_VALUE(&EG(user_error_handler), &handler);
}

void howdah_reset_begin(void)
{
	zend_memory_reset_peak_usage();
	PG(header_is_being_sent) = 0;
	PG(connection_status) = PHP_CONNECTION_NORMAL;
	EG(exit_status) = 0;
	SG(headers_sent) = 0;
	start_output();
	without_script(begin);
}

static void end_modules(void)
{
	size_t index;

	EG(flags) |= EG_FLAGS_IN_SHUTDOWN;
	for (index = MODULE_COUNT; index-- > 0;) {
		if (modules[index] && modules[index]->request_shutdown_func) {
			modules[index]->request_shutdown_func(modules[index]->type, modules[index]->module_number);
		}
	}
	EG(flags) &= ~EG_FLAGS_IN_SHUTDOWN;
}

void howdah_reset_modules_end(void)
{
	without_script(end_modules);
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

void howdah_reset_error(void)
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

/* output_add_rewrite_var(), and the session's id in links: what the module's own end of a request does, which is not exported. */
static void reset_rewriting(url_adapt_state_ex_t *state)
{
	smart_str_free(&state->form_app);
	smart_str_free(&state->url_app);
	if (!state->active) {
		return;
	}
	smart_str_free(&state->result);
	smart_str_free(&state->buf);
	smart_str_free(&state->tag);
	smart_str_free(&state->arg);
	smart_str_free(&state->attr_val);
	state->active = state->tag_type = state->attr_type = 0;
}

void howdah_reset_end(void)
{
	howdah_boot_keep_store();
	zend_ini_deactivate();
	close_body();
	sapi_deactivate();
	howdah_reset_error();
	howdah_reset_random();
	howdah_boot_end();
	reset_rewriting(&BG(url_adapt_session_ex));
	reset_rewriting(&BG(url_adapt_output_ex));
	/* Other processes change files between requests; the cache of resolved paths has a time limit of its own. */
	php_clear_stat_cache(false, NULL, 0);
	if (BG(strtok_string)) {
		zend_string_release(BG(strtok_string));
		BG(strtok_string) = NULL;
		BG(strtok_last) = NULL;
		BG(strtok_len) = 0;
	}
}
