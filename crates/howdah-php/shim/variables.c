/* $_SERVER, and what filter_input() sees of it. */
#include "shim.h"

/* Of this request. */
bool howdah_filter_has_server;

static void put(HashTable *table, const char *name, size_t name_length, howdah_text value)
{
	zval entry;

	ZVAL_STRINGL_FAST(&entry, value.data, value.length);
	zend_hash_str_update(table, name, name_length, &entry);
}

#define LONGEST_NAME 256

/* RFC 3875 section 4.1.18. A name with an underscore is left out: it would pass for the one with a dash; and `Proxy` is what
 * programs take their proxy from (CVE-2016-5385). The length, or 0. */
static size_t variable_name(const howdah_pair *header, char name[LONGEST_NAME])
{
	size_t index, length = sizeof("HTTP_") - 1;

	memcpy(name, "HTTP_", length);
	if (header->name.length > LONGEST_NAME - length) {
		return 0;
	}
	for (index = 0; index < header->name.length; index++) {
		char byte = header->name.data[index];
		if (byte == '_') {
			return 0;
		}
		if (byte >= 'a' && byte <= 'z') {
			byte -= 'a' - 'A';
		}
		name[length++] = byte == '-' ? '_' : byte;
	}
	if (length == sizeof("HTTP_PROXY") - 1 && !memcmp(name, "HTTP_PROXY", length)) {
		return 0;
	}
	return length;
}

static void put_header(HashTable *table, const howdah_pair *header)
{
	char name[LONGEST_NAME];
	size_t length = variable_name(header, name);

	if (length) {
		put(table, name, length, header->value);
	}
}

howdah_text howdah_header_of_variable(const char *wanted, size_t wanted_length)
{
	char name[LONGEST_NAME];
	size_t index;

	if (wanted_length < sizeof("HTTP_") || memcmp(wanted, "HTTP_", sizeof("HTTP_") - 1)) {
		return (howdah_text){NULL, 0};
	}
	for (index = 0; howdah_current && index < howdah_current->header_count; index++) {
		const howdah_pair *header = &howdah_current->headers[index];
		if (variable_name(header, name) == wanted_length && !memcmp(name, wanted, wanted_length)) {
			return header->value;
		}
	}
	return (howdah_text){NULL, 0};
}

/* What every request finds in $_SERVER, whatever an earlier one did with putenv(). */
static HashTable environment;

/* To be called while PHP starts: the strings then live as long as the process. As php_import_environment_variables() does it. */
void howdah_keep_environment(void)
{
	char **line;

	zend_hash_init(&environment, 64, NULL, NULL, true);
	for (line = environ; line && *line; line++) {
		size_t length = strcspn(*line, "=");
		zval value;

		if (!length || !(*line)[length] || strcspn(*line, " .[") < length) {
			continue;
		}
		ZVAL_STR(&value, zend_string_init_interned(*line + length + 1, strlen(*line + length + 1), true));
		zend_symtable_update(&environment, zend_string_init_interned(*line, length, true), &value);
	}
}

void howdah_register_variables(zval *array)
{
	HashTable *table = Z_ARRVAL_P(array);
	size_t index;

	zend_hash_copy(table, &environment, NULL);
	if (!howdah_current) {
		return;
	}
	put(table, "AUTH_TYPE", sizeof("AUTH_TYPE") - 1, (howdah_text){"", 0});
	for (index = 0; index < howdah_current->variable_count; index++) {
		const howdah_pair *variable = &howdah_current->variables[index];
		put(table, variable->name.data, variable->name.length, variable->value);
	}
	for (index = 0; index < howdah_current->header_count; index++) {
		put_header(table, &howdah_current->headers[index]);
	}
	if (SG(request_info).auth_user) {
		put(table, "REMOTE_USER", sizeof("REMOTE_USER") - 1,
			(howdah_text){SG(request_info).auth_user, strlen(SG(request_info).auth_user)});
	}
}

/* The filter module keeps a copy of what clients send, which it fills while variables are registered one by one. Those of $_SERVER
 * come all at once and few scripts ask for them: they are handed to it when one does. */
static void give_to_filter(void)
{
	HashTable *variables;
	zend_string *name;
	zval *value;

	if (howdah_filter_has_server || !sapi_module.input_filter) {
		return;
	}
	howdah_filter_has_server = true;
	zend_is_auto_global_str(ZEND_STRL("_SERVER"));
	/* A copy: it writes what it is given to the original, too. */
	variables = zend_array_dup(Z_ARRVAL(PG(http_globals)[TRACK_VARS_SERVER]));
	ZEND_HASH_FOREACH_STR_KEY_VAL(variables, name, value) {
		if (name && Z_TYPE_P(value) == IS_STRING) {
			char *text = Z_STRVAL_P(value);
			sapi_module.input_filter(PARSE_SERVER, ZSTR_VAL(name), &text, Z_STRLEN_P(value), NULL);
		}
	} ZEND_HASH_FOREACH_END();
	zend_array_destroy(variables);
}

static struct {
	const char *name;
	zif_handler original;
} readers[] = {{"filter_input", NULL}, {"filter_has_var", NULL}, {"filter_input_array", NULL}};
#define READER_COUNT (sizeof(readers) / sizeof(readers[0]))

static PHP_FUNCTION(filter_reader)
{
	const char *name = ZSTR_VAL(EX(func)->common.function_name);
	size_t index;

	give_to_filter();
	for (index = 0; index < READER_COUNT; index++) {
		if (!strcmp(readers[index].name, name)) {
			readers[index].original(INTERNAL_FUNCTION_PARAM_PASSTHRU);
			return;
		}
	}
}

void howdah_override_filter(void)
{
	size_t index;

	for (index = 0; index < READER_COUNT; index++) {
		const char *name = readers[index].name;
		zend_internal_function *function = zend_hash_str_find_ptr(CG(function_table), name, strlen(name));

		if (function) {
			readers[index].original = function->handler;
			function->handler = ZEND_FN(filter_reader);
		}
	}
}
