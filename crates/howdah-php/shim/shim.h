/* What the C files share, and the seam to Rust (src/shim.rs, src/callbacks.rs): everything of PHP that can bail out (longjmp)
 * is called here and is caught here, so that no jump ever crosses a Rust frame. Rust, called from here, does input and output only. */
#ifndef HOWDAH_SHIM_H
#define HOWDAH_SHIM_H

#include <php.h>
#include <SAPI.h>
#include <php_main.h>
#include <php_variables.h>
#include <php_output.h>
#include <php_ini.h>
#include <zend_exceptions.h>
#include <ext/standard/basic_functions.h>
#include <ext/standard/info.h>
#include <stdbool.h>
#include <stdint.h>

/* Bytes; those of a request have a NUL behind. */
typedef struct {
	const char *data;
	size_t length;
} howdah_text;

typedef struct {
	howdah_text name;
	howdah_text value;
} howdah_pair;

/* A request; it lives until the next one is asked for. */
typedef struct {
	howdah_text script;
	howdah_text method;
	howdah_text uri;
	howdah_text query;
	int64_t content_length; /* -1: not told */
	const howdah_pair *variables;
	size_t variable_count;
	const howdah_pair *headers;
	size_t header_count;
} howdah_request;

/* --- Rust, called by C. `link` is what howdah_start() was given. */
/* Waits for a request; false: there will be none. In the zygote it returns in the forked children only. */
extern bool howdah_next(void *link, size_t memory, size_t peak, const howdah_request **request);
/* The callback of a request has ended, and everything it left; the script goes on after frankenphp_handle_request(). */
extern void howdah_request_over(void *link, size_t memory, size_t peak);
/* Fills `buffer` but at the end of the body; returns the bytes read. */
extern size_t howdah_read_body(void *link, char *buffer, size_t length);
/* These three: false if the client is gone. */
extern bool howdah_write(void *link, const char *data, size_t length);
extern bool howdah_flush(void *link);
extern bool howdah_head(void *link, bool interim, uint16_t status, const howdah_text *lines, size_t count);
/* The response is whole; false if it already was. */
extern bool howdah_finish(void *link);
/* `context` is JSON, or empty. */
extern void howdah_log(void *link, int64_t level, howdah_text message, howdah_text context);
extern void howdah_reload(void *link);

/* --- C, called by Rust. */
typedef struct {
	void *link;
	const char *name;         /* of the SAPI */
	const char *ini_path;     /* -c, or NULL */
	const char *ini_entries;  /* lines `key=value`, of -d */
} howdah_start;

int howdah_php_start(const howdah_start *start);
const char *howdah_php_version(void);
bool howdah_is_own_library(void);
void howdah_php_after_fork(int descriptor);
void howdah_classic(const howdah_request *request);
/* `once`: the process serves one request. */
int howdah_worker(const howdah_request *boot, bool once);
void howdah_once_prepare(void);
/* For opcache's memory, as far as it is in use by now. */
void howdah_huge_pages_shared(void);
void howdah_memory(size_t *now, size_t *peak);
int howdah_cli(int argc, char **argv);
uint64_t *howdah_map_ledger(int descriptor);
void howdah_backtrace(void);

/* --- Within C. */
#define HOWDAH_LOG_DEBUG -4
#define HOWDAH_LOG_INFO 0
#define HOWDAH_LOG_WARNING 4
#define HOWDAH_LOG_ERROR 8

extern void *howdah_link;
extern const howdah_request *howdah_current;
extern zend_module_entry howdah_module;
/* filter_input() sees the request's variables. */
extern bool howdah_filter_has_server;
/* Rust's: true while a frame may be half written, when the backtrace's signal handler must not write. */
extern volatile bool howdah_writing;
/* It was asked meanwhile. */
extern volatile bool howdah_backtrace_due;

void howdah_fill_request(const howdah_request *request);
void howdah_keep_environment(void);
void howdah_register_variables(zval *array);
int howdah_send_headers(sapi_headers_struct *headers);
void howdah_override_functions(void);
void howdah_override_filter(void);
void howdah_backtrace_install(void);
howdah_text howdah_header(const char *name, size_t length);
/* The header that is the variable `HTTP_*`. */
howdah_text howdah_header_of_variable(const char *name, size_t length);

/* Instead of php_request_shutdown(). */
void howdah_once_end(void);
/* Before and after the start of PHP. */
void howdah_huge_pages_align(void);
void howdah_huge_pages_aligned(void);
void howdah_huge_pages_heap(void);

void howdah_reset_find_modules(void);
void howdah_reset_random(void);
void howdah_reset_error(void);
void howdah_reset_output(void);
void howdah_reset_begin(void);
void howdah_reset_modules_end(void);
void howdah_reset_end(void);

/* The boot is over, and the modules still have what it set. */
void howdah_boot_over(void);
/* The modules have begun a request. */
void howdah_boot_begin(void);
/* A request's callback is over, and the modules still have what it set: was it the boot? */
void howdah_boot_in_request(void);
/* Where sessions are kept, before the directives go back. */
void howdah_boot_keep_store(void);
/* A request is over: time zone, locale, umask and working directory go back to the boot's. */
void howdah_boot_end(void);

PHP_FUNCTION(frankenphp_handle_request);
PHP_FUNCTION(howdah_restore);

#endif
