/* The PHP module `frankenphp`: the functions that Laravel Octane, Symfony and others expect of such a server, and our own. */
#include "shim.h"
#include <ext/json/php_json.h>
#include <ext/standard/head.h>
#include <ext/spl/spl_exceptions.h>
#include <zend_smart_str.h>

static PHP_FUNCTION(frankenphp_finish_request)
{
	ZEND_PARSE_PARAMETERS_NONE();

	php_output_end_all();
	php_header();
	if (!SG(server_context) || !howdah_finish(howdah_link)) {
		RETURN_FALSE;
	}
	howdah_flush(howdah_link);
	RETURN_TRUE;
}

static PHP_FUNCTION(headers_send)
{
	zend_long status = 200;
	int previous = SG(sapi_headers).http_response_code;

	ZEND_PARSE_PARAMETERS_START(0, 1)
		Z_PARAM_OPTIONAL
		Z_PARAM_LONG(status)
	ZEND_PARSE_PARAMETERS_END();

	SG(sapi_headers).http_response_code = (int) status;
	if (status >= 100 && status < 200) {
		int sent = SAPI_HEADER_SENT_SUCCESSFULLY;

		if (SG(server_context) && !SG(headers_sent)) {
			sent = howdah_send_headers(&SG(sapi_headers));
			howdah_flush(howdah_link);
		}
		SG(sapi_headers).http_response_code = previous;
		RETURN_LONG(sent);
	}
	RETURN_LONG(sapi_send_headers());
}

/* `x-forwarded-for` as `X-Forwarded-For`: HTTP/2 sends names in lower case, scripts look for these. */
static zend_string *canonical(howdah_text name)
{
	zend_string *result = zend_string_init(name.data, name.length, false);
	bool first = true;
	size_t index;

	for (index = 0; index < name.length; index++) {
		char *byte = &ZSTR_VAL(result)[index];
		*byte = first ? (char) toupper((unsigned char) *byte) : (char) tolower((unsigned char) *byte);
		first = *byte == '-';
	}
	return result;
}

static PHP_FUNCTION(frankenphp_request_headers)
{
	size_t index;

	ZEND_PARSE_PARAMETERS_NONE();

	array_init(return_value);
	for (index = 0; howdah_current && index < howdah_current->header_count; index++) {
		const howdah_pair *header = &howdah_current->headers[index];
		zend_string *name = canonical(header->name);
		zval value;

		ZVAL_STRINGL(&value, header->value.data, header->value.length);
		zend_symtable_update(Z_ARRVAL_P(return_value), name, &value);
		zend_string_release(name);
	}
}

static PHP_FUNCTION(frankenphp_response_headers)
{
	zend_llist_position position;
	sapi_header_struct *header;

	ZEND_PARSE_PARAMETERS_NONE();

	array_init(return_value);
	header = zend_llist_get_first_ex(&SG(sapi_headers).headers, &position);
	for (; header; header = zend_llist_get_next_ex(&SG(sapi_headers).headers, &position)) {
		const char *colon = memchr(header->header, ':', header->header_len);
		const char *value;
		size_t rest;

		if (!colon) {
			continue;
		}
		value = colon + 1;
		rest = header->header_len - (size_t) (value - header->header);
		while (rest && isspace((unsigned char) *value)) {
			value++;
			rest--;
		}
		add_assoc_stringl_ex(return_value, header->header, (size_t) (colon - header->header), (char *) value, rest);
	}
}

static PHP_FUNCTION(frankenphp_log)
{
	zend_string *message;
	zend_long level = HOWDAH_LOG_INFO;
	zval *context = NULL;
	smart_str json = {0};

	ZEND_PARSE_PARAMETERS_START(1, 3)
		Z_PARAM_STR(message)
		Z_PARAM_OPTIONAL
		Z_PARAM_LONG(level)
		Z_PARAM_ARRAY(context)
	ZEND_PARSE_PARAMETERS_END();

	if (context && zend_hash_num_elements(Z_ARRVAL_P(context))) {
		if (php_json_encode_ex(&json, context, PHP_JSON_INVALID_UTF8_SUBSTITUTE | PHP_JSON_UNESCAPED_UNICODE, 128) == FAILURE) {
			smart_str_free(&json);
			if (!EG(exception)) {
				zend_throw_exception(spl_ce_RuntimeException, "the context of a log line has no JSON form", 0);
			}
			RETURN_THROWS();
		}
		smart_str_0(&json);
	}
	howdah_log(howdah_link, level, (howdah_text){ZSTR_VAL(message), ZSTR_LEN(message)},
		(howdah_text){json.s ? ZSTR_VAL(json.s) : NULL, json.s ? ZSTR_LEN(json.s) : 0});
	smart_str_free(&json);
}

static PHP_FUNCTION(mercure_publish)
{
	zval *topics;
	zend_string *data = NULL, *id = NULL, *type = NULL;
	bool private = false, no_retry = true;
	zend_long retry = 0;

	ZEND_PARSE_PARAMETERS_START(1, 6)
		Z_PARAM_ZVAL(topics)
		Z_PARAM_OPTIONAL
		Z_PARAM_STR(data)
		Z_PARAM_BOOL(private)
		Z_PARAM_STR_OR_NULL(id)
		Z_PARAM_STR_OR_NULL(type)
		Z_PARAM_LONG_OR_NULL(retry, no_retry)
	ZEND_PARSE_PARAMETERS_END();

	zend_throw_exception(spl_ce_RuntimeException, "No Mercure hub configured", 0);
	RETURN_THROWS();
}

/* The memory that a reset empties is shared with workers that run what is in it. The front starts a new generation instead, whose
 * memory is new. */
static PHP_FUNCTION(opcache_reset)
{
	ZEND_PARSE_PARAMETERS_NONE();

	if (!INI_BOOL("opcache.enable")) {
		RETURN_FALSE;
	}
	howdah_reload(howdah_link);
	RETURN_TRUE;
}

void howdah_override_functions(void)
{
	zend_internal_function *function = zend_hash_str_find_ptr(CG(function_table), ZEND_STRL("opcache_reset"));

	if (function) {
		function->handler = ZEND_FN(opcache_reset);
	}
}

ZEND_BEGIN_ARG_WITH_RETURN_TYPE_INFO_EX(takes_callback, 0, 1, _IS_BOOL, 0)
	ZEND_ARG_TYPE_INFO(0, callback, IS_CALLABLE, 0)
ZEND_END_ARG_INFO()

ZEND_BEGIN_ARG_WITH_RETURN_TYPE_INFO_EX(gives_bool, 0, 0, _IS_BOOL, 0)
ZEND_END_ARG_INFO()

ZEND_BEGIN_ARG_WITH_RETURN_TYPE_INFO_EX(takes_status, 0, 0, IS_LONG, 0)
	ZEND_ARG_TYPE_INFO_WITH_DEFAULT_VALUE(0, status, IS_LONG, 0, "200")
ZEND_END_ARG_INFO()

ZEND_BEGIN_ARG_WITH_RETURN_TYPE_INFO_EX(gives_array, 0, 0, IS_ARRAY, 0)
ZEND_END_ARG_INFO()

ZEND_BEGIN_ARG_WITH_RETURN_TYPE_MASK_EX(gives_array_or_false, 0, 0, MAY_BE_ARRAY | MAY_BE_BOOL)
ZEND_END_ARG_INFO()

ZEND_BEGIN_ARG_WITH_RETURN_TYPE_INFO_EX(takes_log, 0, 1, IS_VOID, 0)
	ZEND_ARG_TYPE_INFO(0, message, IS_STRING, 0)
	ZEND_ARG_TYPE_INFO_WITH_DEFAULT_VALUE(0, level, IS_LONG, 0, "0")
	ZEND_ARG_TYPE_INFO_WITH_DEFAULT_VALUE(0, context, IS_ARRAY, 0, "[]")
ZEND_END_ARG_INFO()

ZEND_BEGIN_ARG_WITH_RETURN_TYPE_INFO_EX(takes_update, 0, 1, IS_STRING, 0)
	ZEND_ARG_TYPE_MASK(0, topics, MAY_BE_STRING | MAY_BE_ARRAY, NULL)
	ZEND_ARG_TYPE_INFO_WITH_DEFAULT_VALUE(0, data, IS_STRING, 0, "''")
	ZEND_ARG_TYPE_INFO_WITH_DEFAULT_VALUE(0, private, _IS_BOOL, 0, "false")
	ZEND_ARG_TYPE_INFO_WITH_DEFAULT_VALUE(0, id, IS_STRING, 1, "null")
	ZEND_ARG_TYPE_INFO_WITH_DEFAULT_VALUE(0, type, IS_STRING, 1, "null")
	ZEND_ARG_TYPE_INFO_WITH_DEFAULT_VALUE(0, retry, IS_LONG, 1, "null")
ZEND_END_ARG_INFO()

ZEND_BEGIN_ARG_WITH_RETURN_TYPE_INFO_EX(takes_object, 0, 3, IS_VOID, 0)
	ZEND_ARG_TYPE_INFO(0, object, IS_OBJECT, 0)
	ZEND_ARG_TYPE_INFO(0, saved, IS_ARRAY, 0)
	ZEND_ARG_TYPE_INFO(0, kept, IS_ARRAY, 0)
ZEND_END_ARG_INFO()

static const zend_function_entry functions[] = {
	ZEND_FE(frankenphp_handle_request, takes_callback)
	ZEND_FE(frankenphp_finish_request, gives_bool)
	ZEND_FALIAS(fastcgi_finish_request, frankenphp_finish_request, gives_bool)
	ZEND_FE(headers_send, takes_status)
	ZEND_FE(frankenphp_request_headers, gives_array)
	ZEND_FALIAS(apache_request_headers, frankenphp_request_headers, gives_array)
	ZEND_FALIAS(getallheaders, frankenphp_request_headers, gives_array)
	ZEND_FE(frankenphp_response_headers, gives_array_or_false)
	ZEND_FALIAS(apache_response_headers, frankenphp_response_headers, gives_array_or_false)
	ZEND_FE(frankenphp_log, takes_log)
	ZEND_FE(mercure_publish, takes_update)
	ZEND_FE(howdah_restore, takes_object)
	ZEND_FE_END
};

static PHP_MINIT_FUNCTION(frankenphp)
{
	howdah_keep_environment();
	REGISTER_LONG_CONSTANT("FRANKENPHP_LOG_LEVEL_DEBUG", HOWDAH_LOG_DEBUG, CONST_PERSISTENT);
	REGISTER_LONG_CONSTANT("FRANKENPHP_LOG_LEVEL_INFO", HOWDAH_LOG_INFO, CONST_PERSISTENT);
	REGISTER_LONG_CONSTANT("FRANKENPHP_LOG_LEVEL_WARN", HOWDAH_LOG_WARNING, CONST_PERSISTENT);
	REGISTER_LONG_CONSTANT("FRANKENPHP_LOG_LEVEL_ERROR", HOWDAH_LOG_ERROR, CONST_PERSISTENT);
	return SUCCESS;
}

zend_module_entry howdah_module = {
	STANDARD_MODULE_HEADER,
	"frankenphp",
	functions,
	PHP_MINIT(frankenphp),
	NULL,
	NULL,
	NULL,
	NULL,
	"1.9.0",
	STANDARD_MODULE_PROPERTIES,
};
