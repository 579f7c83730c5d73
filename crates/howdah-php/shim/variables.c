/* $_SERVER. */
#include "shim.h"

static void put(HashTable *table, const char *name, size_t name_length, howdah_text value)
{
	zval entry;

	ZVAL_STRINGL_FAST(&entry, value.data, value.length);
	zend_hash_str_update(table, name, name_length, &entry);
}

/* RFC 3875 section 4.1.18. A name with an underscore is left out: it would pass for the one with a dash; and `Proxy` is what
 * programs take their proxy from (CVE-2016-5385). */
static void put_header(HashTable *table, const howdah_pair *header)
{
	char name[256] = "HTTP_";
	size_t index, length = sizeof("HTTP_") - 1;

	if (header->name.length > sizeof(name) - length) {
		return;
	}
	for (index = 0; index < header->name.length; index++) {
		char byte = header->name.data[index];
		if (byte == '_') {
			return;
		}
		if (byte >= 'a' && byte <= 'z') {
			byte -= 'a' - 'A';
		}
		name[length++] = byte == '-' ? '_' : byte;
	}
	if (length == sizeof("HTTP_PROXY") - 1 && !memcmp(name, "HTTP_PROXY", length)) {
		return;
	}
	put(table, name, length, header->value);
}

void howdah_register_variables(zval *array)
{
	HashTable *table = Z_ARRVAL_P(array);
	size_t index;

	php_import_environment_variables(array);
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
