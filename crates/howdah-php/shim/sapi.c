/* The SAPI module: what PHP asks of a server, and the start of PHP. */
#include "shim.h"
#include <dlfcn.h>
#include <zend_signal.h>

void *howdah_link;
const howdah_request *howdah_current;

static size_t write_output(const char *data, size_t length)
{
	if (!howdah_write(howdah_link, data, length)) {
		/* May bail out; no Rust frame is below. */
		php_handle_aborted_connection();
	}
	return length;
}

static void flush_output(void *context)
{
	if (!context) {
		return;
	}
	sapi_send_headers();
	if (!howdah_flush(howdah_link)) {
		php_handle_aborted_connection();
	}
}

int howdah_send_headers(sapi_headers_struct *headers)
{
	size_t count = zend_llist_count(&headers->headers), index = 0;
	howdah_text *lines = count ? safe_emalloc(count, sizeof(howdah_text), 0) : NULL;
	zend_llist_position position;
	sapi_header_struct *header = zend_llist_get_first_ex(&headers->headers, &position);
	int status = headers->http_response_code ? headers->http_response_code : 200;
	bool interim = status >= 100 && status < 200;

	for (; header && index < count; header = zend_llist_get_next_ex(&headers->headers, &position)) {
		lines[index++] = (howdah_text){header->header, header->header_len};
	}
	/* The front judges the status; what does not even fit becomes one that it refuses. */
	howdah_head(howdah_link, interim, status < 0 || status > UINT16_MAX ? 0 : (uint16_t) status, lines, index);
	if (lines) {
		efree(lines);
	}
	return SAPI_HEADER_SENT_SUCCESSFULLY;
}

static size_t read_body(char *buffer, size_t length)
{
	return howdah_read_body(howdah_link, buffer, length);
}

howdah_text howdah_header(const char *name, size_t length)
{
	size_t index;

	for (index = 0; howdah_current && index < howdah_current->header_count; index++) {
		const howdah_pair *header = &howdah_current->headers[index];
		if (header->name.length == length && !strncasecmp(header->name.data, name, length)) {
			return header->value;
		}
	}
	return (howdah_text){NULL, 0};
}

static char *read_cookies(void)
{
	return (char *) howdah_header("cookie", sizeof("cookie") - 1).data;
}

/* getenv() asks the server first, as with PHP-FPM: old code finds the client's address there. */
static char *get_variable(const char *name, size_t length)
{
	size_t index;

	for (index = 0; howdah_current && index < howdah_current->variable_count; index++) {
		const howdah_pair *variable = &howdah_current->variables[index];
		if (variable->name.length == length && !memcmp(variable->name.data, name, length)) {
			return (char *) variable->value.data;
		}
	}
	return (char *) howdah_header_of_variable(name, length).data;
}

static int deactivate(void)
{
	if (SG(server_context)) {
		howdah_finish(howdah_link);
	}
	return SUCCESS;
}

static void log_message(const char *message, int priority)
{
	int64_t level = HOWDAH_LOG_INFO;

	if (priority <= LOG_ERR) {
		level = HOWDAH_LOG_ERROR;
	} else if (priority == LOG_WARNING) {
		level = HOWDAH_LOG_WARNING;
	} else if (priority == LOG_DEBUG) {
		level = HOWDAH_LOG_DEBUG;
	}
	howdah_log(howdah_link, level, (howdah_text){message, strlen(message)}, (howdah_text){NULL, 0});
}

void howdah_fill_request(const howdah_request *request)
{
	howdah_text authorization;

	howdah_current = request;
	howdah_filter_has_server = false;
	SG(server_context) = howdah_link;
	SG(request_info).request_method = request->method.data;
	SG(request_info).request_uri = (char *) request->uri.data;
	SG(request_info).query_string = (char *) request->query.data;
	SG(request_info).path_translated = (char *) request->script.data;
	SG(request_info).content_type = howdah_header("content-type", sizeof("content-type") - 1).data;
	SG(request_info).content_length = request->content_length < 0 ? 0 : request->content_length;
	SG(request_info).proto_num = 1001;
	SG(request_info).auth_user = NULL;
	SG(request_info).auth_password = NULL;
	SG(request_info).auth_digest = NULL;
	SG(sapi_headers).http_response_code = 200;
	authorization = howdah_header("authorization", sizeof("authorization") - 1);
	if (authorization.data) {
		php_handle_auth_data(authorization.data);
	}
}

static sapi_module_struct module = {
	.name = "frankenphp",
	.pretty_name = "FrankenPHP compatible (Howdah)",
	.startup = NULL,
	.shutdown = php_module_shutdown_wrapper,
	.deactivate = deactivate,
	.ub_write = write_output,
	.flush = flush_output,
	.sapi_error = zend_error,
	.send_headers = howdah_send_headers,
	.read_post = read_body,
	.read_cookies = read_cookies,
	.register_server_variables = howdah_register_variables,
	.getenv = get_variable,
	.log_message = log_message,
};

static int startup(sapi_module_struct *sapi)
{
	return php_module_startup(sapi, &howdah_module);
}

int howdah_php_start(const howdah_start *start)
{
	int status;

	howdah_link = start->link;
	module.startup = startup;
	module.name = (char *) start->name;
	module.php_ini_path_override = (char *) start->ini_path;
	/* The front's name for the file is final; the working directory is no place to look for a php.ini. */
	module.php_ini_ignore_cwd = 1;
	zend_signal_startup();
	howdah_backtrace_install();
	sapi_startup(&module);
	/* It has forgotten any that were set before. */
	module.ini_entries = (char *) start->ini_entries;
	howdah_huge_pages_align();
	status = module.startup(&module);
	howdah_huge_pages_aligned();
	if (status == FAILURE) {
		return FAILURE;
	}
	howdah_override_functions();
	howdah_override_filter();
	howdah_reset_find_modules();
	return SUCCESS;
}

const char *howdah_php_version(void)
{
	return PHP_VERSION;
}

/* All versions of PHP call their library libphp.so: the loader may have found another one's. Those before 8.3 do not tell theirs. */
bool howdah_is_own_library(void)
{
	const char *(*version)(void) = (const char *(*)(void)) dlsym(RTLD_DEFAULT, "php_version");
	const char *series_end = strrchr(PHP_VERSION, '.');

	if (!version) {
		return PHP_VERSION_ID < 80300;
	}
	/* With the second dot: 8.4. is not 8.40. */
	return !strncmp(version(), PHP_VERSION, (size_t) (series_end - PHP_VERSION) + 1);
}

void howdah_memory(size_t *now, size_t *peak)
{
	*now = zend_memory_usage(true);
	*peak = zend_memory_peak_usage(true);
}
