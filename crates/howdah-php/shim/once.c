/* A process that serves one request (docs/decisions/0036). Memory is given back by its end, so nothing is freed one by one: to write
 * to an object of the application, be it a flag, the process would first have to copy the page that it shares with its siblings. */
#include "shim.h"
#include <zend_extensions.h>
#include <zend_observer.h>

/* The superglobals of the warm-up, which each fork would have to free. */
static void free_globals(void)
{
	static const char *const names[] = {"_POST", "_GET", "_COOKIE", "_SERVER", "_ENV", "_FILES"};
	size_t index;

	for (index = 0; index < sizeof(names) / sizeof(names[0]); index++) {
		zval *global = zend_hash_str_find(&EG(symbol_table), names[index], strlen(names[index]));
		zval_ptr_dtor(&PG(http_globals)[index]);
		ZVAL_EMPTY_ARRAY(&PG(http_globals)[index]);
		if (global && Z_TYPE_P(global) == IS_ARRAY) {
			zval_ptr_dtor(global);
			ZVAL_EMPTY_ARRAY(global);
		}
	}
}

/* Before the forks. The application's objects without a destructor are done with theirs: the engine sets this flag in all objects
 * at the end of a request, and in these it has no other meaning. */
void howdah_once_prepare(void)
{
	uint32_t index;

	free_globals();
	for (index = 1; index < EG(objects_store).top; index++) {
		zend_object *object = EG(objects_store).object_buckets[index];
		if (IS_OBJ_VALID(object) && object->handlers->dtor_obj == zend_objects_destroy_object && !object->ce->destructor) {
			GC_ADD_FLAGS(object, IS_OBJ_DESTRUCTOR_CALLED);
		}
	}
	howdah_huge_pages_heap();
}

/* To free it may mean more than memory: a file that is written, a connection that is closed. Not so for what the application had
 * before the fork: that is its siblings', too. */
static bool matters(const zend_object *object)
{
	return IS_OBJ_VALID(object) && object->handlers->free_obj != zend_object_std_dtor && !(OBJ_FLAGS(object) & IS_OBJ_DESTRUCTOR_CALLED);
}

/* Objects by their places, which are not given to others any more. */
typedef struct {
	uint32_t *places;
	uint32_t count;
	uint32_t top; /* those from here on came later */
} objects;

/* Those that the request has made and left. */
static objects find_objects(void)
{
	uint32_t index;
	objects found = {.top = EG(objects_store).top};

	EG(flags) |= EG_FLAGS_OBJECT_STORE_NO_REUSE;
	found.places = malloc(found.top * sizeof(*found.places));
	for (index = 1; found.places && index < found.top; index++) {
		if (matters(EG(objects_store).object_buckets[index])) {
			found.places[found.count++] = index;
		}
	}
	return found;
}

/* As zend_objects_store_free_object_storage() does it. */
static void free_object(uint32_t index)
{
	zend_object *object = EG(objects_store).object_buckets[index];

	if (IS_OBJ_VALID(object) && object->handlers->free_obj != zend_object_std_dtor && !(OBJ_FLAGS(object) & IS_OBJ_FREE_CALLED)) {
		GC_ADD_FLAGS(object, IS_OBJ_FREE_CALLED);
		GC_ADDREF(object);
		object->handlers->free_obj(object);
	}
}

static void free_objects(objects found)
{
	uint32_t index;

	for (index = EG(objects_store).top; index-- > found.top;) {
		free_object(index);
	}
	while (found.count-- > 0) {
		free_object(found.places[found.count]);
	}
}

/* As zend_close_rsrc_list(), which is not exported, does it. */
static void close_resources(void)
{
	uint32_t index = EG(regular_list).nNumUsed;

	while (index-- > 0) {
		zval *entry = ZEND_HASH_ELEMENT(&EG(regular_list), index);
		if (Z_TYPE_P(entry) != IS_UNDEF && Z_RES_P(entry)->type >= 0) {
			zend_list_close(Z_RES_P(entry));
		}
	}
}

static void deactivate(zend_extension *extension)
{
	if (extension->deactivate) {
		extension->deactivate();
	}
}

/* php_request_shutdown(), as far as anybody else can tell. */
void howdah_once_end(void)
{
	objects found;

	EG(flags) |= EG_FLAGS_IN_SHUTDOWN;
	EG(current_execute_data) = NULL;
	if (ZEND_OBSERVER_ENABLED) {
		zend_observer_fcall_end_all();
	}
	php_call_shutdown_functions();
	if (CG(unclean_shutdown)) {
		/* One of them died, and no object's destructor may run: all have the flag. */
		php_free_shutdown_functions();
		zend_try {
			php_request_shutdown(NULL);
		} zend_end_try();
		return;
	}
	found = find_objects();
	zend_call_destructors();
	zend_try {
		php_output_end_all();
	} zend_end_try();
	zend_unset_timeout();
	zend_deactivate_modules();
	zend_try {
		php_output_deactivate();
	} zend_end_try();
	EG(flags) |= EG_FLAGS_IN_RESOURCE_SHUTDOWN;
	zend_try {
		close_resources();
	} zend_end_try();
	EG(active) = 0;
	zend_try {
		free_objects(found);
	} zend_end_try();
	zend_try {
		zend_llist_apply(&zend_extensions, (llist_apply_func_t) deactivate);
	} zend_end_try();
	zend_try {
		zend_post_deactivate_modules();
	} zend_end_try();
}
