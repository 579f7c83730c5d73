/* One whole request cycle of PHP, as PHP-FPM does it. */
#include "shim.h"

void howdah_classic(const howdah_request *request)
{
	howdah_fill_request(request);
	if (php_request_startup() == SUCCESS) {
		/* The engine has just put back the handlers of the process's start, and would call ours without SA_RESTART. */
		howdah_backtrace_install();
		zend_try {
			zend_file_handle file;

			zend_stream_init_filename(&file, request->script.data);
			file.primary_script = 1;
			php_execute_script(&file);
			zend_destroy_file_handle(&file);
		} zend_end_try();
	}
	zend_try {
		php_request_shutdown(NULL);
	} zend_end_try();
	SG(server_context) = NULL;
	howdah_current = NULL;
}
