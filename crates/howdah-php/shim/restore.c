/* howdah_restore(): an object's properties as they were, for a worker that puts an application back after each request. */
#include "shim.h"

/* The same value, or the same string, array or object: an equal one is put back like any other. */
static bool is_same(const zval *one, const zval *other)
{
	return Z_TYPE_P(one) == Z_TYPE_P(other) && (Z_TYPE_P(one) <= IS_TRUE || Z_LVAL_P(one) == Z_LVAL_P(other));
}

/* What stood there goes last: its destructor may look at the object. */
static void replace(zval *place, zval *value)
{
	zval old;

	ZVAL_COPY_VALUE(&old, place);
	if (value) {
		ZVAL_COPY(place, value);
	} else {
		ZVAL_UNDEF(place);
		Z_PROP_FLAG_P(place) = IS_PROP_UNINIT;
	}
	zval_ptr_dtor(&old);
}

/* Straight into the object: it was there before, so its type is right, and a readonly one may be written, too.
 * Returns how many of the saved properties are declared ones. */
static uint32_t restore_declared(zend_object *object, HashTable *saved, HashTable *kept)
{
	uint32_t found = 0;
	int index;

	for (index = 0; index < object->ce->default_properties_count; index++) {
		zend_property_info *info = object->ce->properties_info_table[index];
		zval *place = OBJ_PROP_NUM(object, index), *value;

		if (!info) {
			continue;
		}
		value = zend_hash_find(saved, info->name);
		found += value != NULL;
		if (zend_hash_exists(kept, info->name)) {
			continue;
		}
		if (value && Z_ISREF_P(place) && !Z_ISREF_P(value)) {
			place = Z_REFVAL_P(place);
		}
		if (value ? !is_same(place, value) : !Z_ISUNDEF_P(place)) {
			replace(place, value);
		}
	}
	return found;
}

/* A property that no class declares and that was not there before. */
static zend_string *new_property(zend_object *object, HashTable *saved, HashTable *kept)
{
	zend_string *name;
	zval *value;

	ZEND_HASH_FOREACH_STR_KEY_VAL(object->properties, name, value) {
		if (Z_TYPE_P(value) != IS_INDIRECT && name && !zend_symtable_exists(saved, name) && !zend_symtable_exists(kept, name)) {
			return zend_string_copy(name);
		}
	} ZEND_HASH_FOREACH_END();
	return NULL;
}

/* Properties that no class declares; they are public. */
static void restore_others(zend_object *object, HashTable *saved, HashTable *kept)
{
	zend_string *name;
	zend_ulong number;
	zval *value;

	while (object->properties && !EG(exception) && (name = new_property(object, saved, kept))) {
		zend_std_unset_property(object, name, NULL);
		zend_string_release(name);
	}
	ZEND_HASH_FOREACH_KEY_VAL(saved, number, name, value) {
		zval *place;

		name = name ? zend_string_copy(name) : zend_long_to_str((zend_long) number);
		place = object->properties ? zend_hash_find(object->properties, name) : NULL;
		/* The name of one that is not public begins with a NUL. */
		if (ZSTR_VAL(name)[0] && !zend_symtable_exists(kept, name)
			&& !(place && (Z_TYPE_P(place) == IS_INDIRECT || is_same(place, value)))
			&& !zend_hash_exists(&object->ce->properties_info, name)) {
			zend_std_write_property(object, name, value, NULL);
		}
		zend_string_release(name);
	} ZEND_HASH_FOREACH_END();
}

/* howdah_restore(object $object, array $saved, array $kept): void. `saved` is of get_mangled_object_vars(); the properties that are
 * keys of `kept` stay as they are. */
PHP_FUNCTION(howdah_restore)
{
	zend_object *object;
	HashTable *saved, *kept;
	uint32_t declared;

	ZEND_PARSE_PARAMETERS_START(3, 3)
		Z_PARAM_OBJ(object)
		Z_PARAM_ARRAY_HT(saved)
		Z_PARAM_ARRAY_HT(kept)
	ZEND_PARSE_PARAMETERS_END();

	declared = restore_declared(object, saved, kept);
	/* The table of all is made when somebody asks for it, and has then the declared ones, too. */
	if (zend_hash_num_elements(saved) > declared
		|| (object->properties && zend_hash_num_elements(object->properties) > (uint32_t) object->ce->default_properties_count)) {
		restore_others(object, saved, kept);
	}
}
