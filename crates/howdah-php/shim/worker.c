/* The worker script: booted once, it asks for requests in a loop with frankenphp_handle_request(). */
#include "shim.h"
#include <ext/spl/spl_exceptions.h>
#include <time.h>

static struct {
	bool running;  /* the worker script runs */
	bool booted;   /* it has asked for a request */
	bool inside;   /* a request's callback runs */
	bool draining; /* there will be no more requests */
	HashTable *boot_shutdown_functions;
	zend_long limit;       /* seconds of max_execution_time that the timer was set to; 0: it is not set */
	struct timespec limited_at;
} worker;

static const howdah_request *boot_request;

/* The boot's context ends: what it wrote went to the log, what it registered for the script's end waits for that. */
static void end_boot(void)
{
	php_output_end_all();
	php_output_deactivate();
	howdah_boot_over();
	howdah_reset_modules_end();
	sapi_deactivate();
	worker.boot_shutdown_functions = BG(user_shutdown_function_names);
	BG(user_shutdown_function_names) = NULL;
	worker.booted = true;
}

/* The script's end runs the functions of its boot, then those of a request that died. */
static void restore_shutdown_functions(void)
{
	HashTable *later = BG(user_shutdown_function_names);
	zval *function;

	if (!worker.boot_shutdown_functions) {
		return;
	}
	BG(user_shutdown_function_names) = worker.boot_shutdown_functions;
	worker.boot_shutdown_functions = NULL;
	if (!later) {
		return;
	}
	ZEND_HASH_FOREACH_VAL(later, function) {
		zend_hash_next_index_insert(BG(user_shutdown_function_names), function);
	} ZEND_HASH_FOREACH_END();
	/* Its entries have moved; the table's destructor would free them. */
	later->pDestructor = NULL;
	zend_hash_destroy(later);
	FREE_HASHTABLE(later);
}

/* max_execution_time. The timer counts processor time, and setting it takes two system calls a request: one that was set less than
 * a hundredth of the limit ago serves the next request, too. */
static void limit_time(void)
{
	zend_long seconds = EG(timeout_seconds);
	struct timespec now;

	if (!seconds) {
		return;
	}
	clock_gettime(CLOCK_MONOTONIC, &now);
	int64_t passed = (now.tv_sec - worker.limited_at.tv_sec) * INT64_C(1000) + (now.tv_nsec - worker.limited_at.tv_nsec) / 1000000;
	if (seconds == worker.limit && passed < seconds * 10) {
		return;
	}
	/* The boot has set the signal's handler. */
	zend_set_timeout(seconds, false);
	worker.limit = seconds;
	worker.limited_at = now;
}

/* The timer may go on: nothing runs between requests. But a script that changed a directive may have set another limit. */
static void leave_time_limit(void)
{
	if (EG(modified_ini_directives)) {
		zend_unset_timeout();
		worker.limit = 0;
	}
}

/* No more requests: the script goes on after its loop, in a context like that of its boot. */
static void begin_drain(void)
{
	zend_unset_timeout();
	howdah_current = NULL;
	worker.draining = true;
	howdah_fill_request(boot_request);
	SG(server_context) = NULL;
	php_output_activate();
	sapi_activate();
	restore_shutdown_functions();
}

/* zend_clear_exception() at exit(); otherwise as zend_execute_scripts() ends. A fatal error during the call has ended as
 * an unwinding, too, if it was the memory limit: the engine is not to be trusted any more (Zend/zend_alloc.c, zend_mm_safe_error). */
static void end_call(void)
{
	if (EG(exception)) {
		if (zend_is_unwind_exit(EG(exception)) || zend_is_graceful_exit(EG(exception))) {
			zend_clear_exception();
		} else {
			if (Z_TYPE(EG(user_exception_handler)) != IS_UNDEF) {
				zend_user_exception_handler();
			}
			if (EG(exception)) {
				zend_exception_error(EG(exception), E_ERROR);
			}
		}
	}
	if (CG(unclean_shutdown)) {
		zend_bailout();
	}
}

static void call(zend_fcall_info *function, zend_fcall_info_cache *cache)
{
	zval result;

	ZVAL_UNDEF(&result);
	function->retval = &result;
	function->param_count = 0;
	function->params = NULL;
	zend_call_function(function, cache);
	zval_ptr_dtor(&result);
	end_call();
}

/* The order of php_request_shutdown(), without what ends the script. */
static void end_request(void)
{
	size_t now, peak;

	if (BG(user_shutdown_function_names)) {
		php_call_shutdown_functions();
		php_free_shutdown_functions();
		end_call();
	}
	php_output_end_all();
	howdah_boot_in_request();
	howdah_reset_modules_end();
	leave_time_limit();
	php_output_deactivate();
	howdah_reset_end();
	if (CG(unclean_shutdown)) {
		zend_bailout();
	}
	SG(server_context) = NULL;
	howdah_current = NULL;
	/* For what the script does before it asks for the next request: a buffer of output would be put upon a stack that is gone. */
	php_output_activate();
	SG(headers_sent) = 1;
	SG(request_info).no_headers = 1;
	howdah_memory(&now, &peak);
	howdah_request_over(howdah_link, now, peak);
}

static void serve(const howdah_request *request, zend_fcall_info *function, zend_fcall_info_cache *cache)
{
	bool died = false;

	worker.inside = true;
	zend_try {
		howdah_fill_request(request);
		howdah_reset_begin();
		limit_time();
		call(function, cache);
		end_request();
	} zend_catch {
		died = true;
	} zend_end_try();
	worker.inside = false;
	if (died) {
		/* The response is not finished: the shutdown functions belong to it. php_request_shutdown() does the rest. */
		restore_shutdown_functions();
		zend_bailout();
	}
}

PHP_FUNCTION(frankenphp_handle_request)
{
	zend_fcall_info function;
	zend_fcall_info_cache cache;
	const howdah_request *request = NULL;
	size_t now, peak;

	ZEND_PARSE_PARAMETERS_START(1, 1)
		Z_PARAM_FUNC(function, cache)
	ZEND_PARSE_PARAMETERS_END();

	if (!worker.running) {
		zend_throw_exception(spl_ce_RuntimeException, "frankenphp_handle_request() called while not in worker mode", 0);
		RETURN_THROWS();
	}
	if (worker.inside) {
		zend_throw_exception(spl_ce_RuntimeException, "frankenphp_handle_request() called while a request is handled", 0);
		RETURN_THROWS();
	}
	if (worker.draining) {
		RETURN_FALSE;
	}
	if (!worker.booted) {
		zend_unset_timeout();
		end_boot();
	} else {
		howdah_reset_output();
	}
	howdah_memory(&now, &peak);
	if (!howdah_next(howdah_link, now, peak, &request)) {
		begin_drain();
		RETURN_FALSE;
	}
	serve(request, &function, &cache);
	RETURN_TRUE;
}

/* PHP resolves every path before it opens it, and a script that the front has in memory (a memfd) has none that leads to it. */
static void open_script(zend_file_handle *file, const char *path)
{
	FILE *stream = strncmp(path, "/proc/self/fd/", sizeof("/proc/self/fd/") - 1) ? NULL : fopen(path, "re");

	if (stream) {
		zend_stream_init_fp(file, stream, path);
	} else {
		zend_stream_init_filename(file, path);
	}
}

int howdah_worker(const howdah_request *boot, bool once)
{
	int status;

	boot_request = boot;
	howdah_fill_request(boot);
	SG(server_context) = NULL;
	if (php_request_startup() == FAILURE) {
		return 255;
	}
	zend_string *directive = zend_string_init(ZEND_STRL("ignore_user_abort"), true);
	zend_alter_ini_entry_chars(directive, "1", 1, PHP_INI_USER, PHP_INI_STAGE_RUNTIME);
	zend_string_release(directive);
	worker.running = true;
	zend_try {
		zend_file_handle file;

		open_script(&file, boot->script.data);
		file.primary_script = 1;
		php_execute_script(&file);
		zend_destroy_file_handle(&file);
	} zend_end_try();
	restore_shutdown_functions();
	if (once && !CG(unclean_shutdown)) {
		howdah_once_end();
	} else {
		zend_try {
			php_request_shutdown(NULL);
		} zend_end_try();
	}
	status = EG(exit_status);
	if (status == 0 && CG(unclean_shutdown)) {
		status = 255;
	}
	return worker.booted ? status : (status ? status : 1);
}
