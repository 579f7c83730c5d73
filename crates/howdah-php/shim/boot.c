/* What the boot of the application leaves to all its requests. It ends with the first frankenphp_handle_request(); but an application
 * may boot in its first request (Laravel Octane before 2026, a Symfony kernel), and set up its session store at the first use. */
#include "shim.h"
#include <ext/date/php_date.h>
#include <ext/session/php_session.h>
#include <fcntl.h>
#include <locale.h>
#include <unistd.h>

/* A first request that declares so many classes boots the application: a kernel has hundreds, a plain script a few. */
#define CLASSES_OF_A_BOOT 64

/* Where sessions are kept is no user's: Symfony's file handler says it once, when it is made. */
static const char *const store_directives[] = {"session.save_path", "session.serialize_handler", "session.gc_maxlifetime",
	"session.gc_probability", "session.gc_divisor"};
#define STORE_COUNT (sizeof(store_directives) / sizeof(store_directives[0]))

/* What mbstring forgets at the end of a request: functions that tell a setting without an argument, and change it with one. */
static struct {
	const char *function;
	zval value; /* the boot's, if it is another than the default */
} multibyte[] = {{.function = "mb_internal_encoding"}, {.function = "mb_http_output"}, {.function = "mb_substitute_character"},
	{.function = "mb_detect_order"}, {.function = "mb_regex_encoding"}};
#define MULTIBYTE_COUNT (sizeof(multibyte) / sizeof(multibyte[0]))
/* They have not been compared with the defaults. */
static bool multibyte_is_new;

static php_ps_globals *session_globals;
static zend_date_globals *timezones;
/* session_set_save_handler()'s callables; the structure has one zval for each and nothing else. */
#define HANDLER_COUNT (sizeof(((php_ps_globals *) NULL)->mod_user_names) / sizeof(zval))
static zval session_handlers[HANDLER_COUNT];

static int directory = -1;
static char *locale;
static char *timezone_name;
/* Of the first request, before it; 0: it is over. */
static uint32_t classes_before;

static void *module_globals(const char *name, size_t length)
{
	zend_module_entry *module = zend_hash_str_find_ptr(&module_registry, name, length);

	return module ? module->globals_ptr : NULL;
}

/* Its value counts as unchanged from here on. */
static void keep_directive(zend_ini_entry *entry)
{
	if (entry->orig_value && entry->orig_value != entry->value) {
		zend_string_release(entry->orig_value);
	}
	entry->modified = 0;
	entry->orig_value = NULL;
	entry->orig_modifiable = 0;
}

/* All that were changed, but those of the session if `without_session`: they go with its handlers, which are not kept. */
static void keep_directives(bool without_session)
{
	HashTable *changed = EG(modified_ini_directives);
	zend_string *name;
	zend_ini_entry *entry;

	if (!changed) {
		return;
	}
	ZEND_HASH_FOREACH_STR_KEY_PTR(changed, name, entry) {
		if (without_session && zend_string_starts_with_literal(name, "session.")) {
			continue;
		}
		keep_directive(entry);
		zend_hash_del(changed, name);
	} ZEND_HASH_FOREACH_END();
}

void howdah_boot_keep_store(void)
{
	size_t index;

	for (index = 0; EG(modified_ini_directives) && index < STORE_COUNT; index++) {
		const char *name = store_directives[index];
		zend_ini_entry *entry = zend_hash_str_find_ptr(EG(modified_ini_directives), name, strlen(name));
		if (entry) {
			keep_directive(entry);
			zend_hash_str_del(EG(modified_ini_directives), name, strlen(name));
		}
	}
}

static bool call_multibyte(size_t index, uint32_t count, zval *result)
{
	zval name;

	ZVAL_UNDEF(result);
	if (!zend_hash_str_exists(EG(function_table), multibyte[index].function, strlen(multibyte[index].function))) {
		return false;
	}
	ZVAL_STRING(&name, multibyte[index].function);
	call_user_function(NULL, NULL, &name, result, count, &multibyte[index].value);
	zval_ptr_dtor(&name);
	return !Z_ISUNDEF_P(result);
}

/* `mb_detect_order()` gives an array; the others a string, a number or false. */
static void keep_multibyte(void)
{
	size_t index;

	for (index = 0; index < MULTIBYTE_COUNT; index++) {
		zval value;

		if (call_multibyte(index, 0, &value)) {
			zval_ptr_dtor(&multibyte[index].value);
			multibyte[index].value = value;
		}
	}
	multibyte_is_new = true;
}

/* Called where the module has its defaults: what equals them need not be set again. */
static void drop_defaults(void)
{
	size_t index;

	for (index = 0; index < MULTIBYTE_COUNT; index++) {
		zval value;

		if (!Z_ISUNDEF(multibyte[index].value) && call_multibyte(index, 0, &value)) {
			if (zend_is_identical(&value, &multibyte[index].value)) {
				zval_ptr_dtor(&multibyte[index].value);
				ZVAL_UNDEF(&multibyte[index].value);
			}
			zval_ptr_dtor(&value);
		}
	}
	multibyte_is_new = false;
}

static void restore_multibyte(void)
{
	size_t index;

	if (multibyte_is_new) {
		drop_defaults();
	}
	for (index = 0; index < MULTIBYTE_COUNT; index++) {
		zval done;

		if (!Z_ISUNDEF(multibyte[index].value)) {
			call_multibyte(index, 1, &done);
			zval_ptr_dtor(&done);
		}
	}
}

static zval *session_handler(size_t index)
{
	return (zval *) &session_globals->mod_user_names + index;
}

/* The module's end of a request drops them. */
static void keep_session_handlers(void)
{
	size_t index;

	for (index = 0; session_globals && index < HANDLER_COUNT; index++) {
		ZVAL_COPY(&session_handlers[index], session_handler(index));
	}
}

static void restore_session_handlers(void)
{
	size_t index;

	for (index = 0; session_globals && index < HANDLER_COUNT; index++) {
		zval *handler = session_handler(index);
		if (Z_ISUNDEF_P(handler) && !Z_ISUNDEF(session_handlers[index])) {
			ZVAL_COPY(handler, &session_handlers[index]);
		}
	}
}

static void keep_process(void)
{
	const char *now = setlocale(LC_ALL, NULL);

	free(locale);
	locale = now ? strdup(now) : NULL;
	BG(locale_changed) = 0;
	BG(umask) = -1;
	free(timezone_name);
	timezone_name = timezones && timezones->timezone ? strdup(timezones->timezone) : NULL;
	if (directory >= 0) {
		close(directory);
	}
	directory = open(".", O_PATH | O_DIRECTORY | O_CLOEXEC);
}

void howdah_boot_over(void)
{
	session_globals = module_globals(ZEND_STRL("session"));
	timezones = module_globals(ZEND_STRL("date"));
	keep_directives(false);
	keep_multibyte();
	keep_session_handlers();
	keep_process();
	howdah_reset_error();
	classes_before = zend_hash_num_elements(EG(class_table));
}

void howdah_boot_begin(void)
{
	restore_multibyte();
	restore_session_handlers();
}

void howdah_boot_in_request(void)
{
	if (classes_before && zend_hash_num_elements(EG(class_table)) - classes_before >= CLASSES_OF_A_BOOT) {
		keep_directives(true);
		keep_multibyte();
		keep_process();
	}
	classes_before = 0;
}

/* date_default_timezone_set() */
static void restore_timezone(void)
{
	if (!timezones || !timezones->timezone || (timezone_name && !strcmp(timezones->timezone, timezone_name))) {
		return;
	}
	efree(timezones->timezone);
	timezones->timezone = timezone_name ? estrdup(timezone_name) : NULL;
}

void howdah_boot_end(void)
{
	if (BG(locale_changed) && locale) {
		setlocale(LC_ALL, locale);
		zend_update_current_locale();
		BG(locale_changed) = 0;
	}
	if (BG(umask) != -1) {
		umask(BG(umask));
		BG(umask) = -1;
	}
	if (directory >= 0 && fchdir(directory) != 0) {
		/* It is gone; the next script sees the same as after a chdir() of its own. */
		close(directory);
		directory = -1;
	}
	restore_timezone();
}
