/* Where PHP is, told at a signal: the front asks before it kills a worker at its wall-clock limit.
 *
 * The handler walks the frames of the engine without allocating or locking. The engine may be changing them: then the walk can
 * fault, and the worker dies a moment before it would have been killed. Nothing but write(2) is called. */
#include "shim.h"
#include <signal.h>
#include <unistd.h>

#define FRAME_HEADER 5
#define KIND_BACKTRACE 22

static volatile int descriptor = -1;
static char text[16384];

static size_t put_bytes(size_t at, const char *data, size_t length)
{
	size_t room = sizeof(text) - at;

	length = length < room ? length : room;
	memcpy(text + at, data, length);
	return at + length;
}

static size_t put_number(size_t at, uint32_t number)
{
	char digits[10];
	size_t index = sizeof(digits);

	do {
		digits[--index] = (char) ('0' + number % 10);
		number /= 10;
	} while (number);
	return put_bytes(at, digits + index, sizeof(digits) - index);
}

static size_t put_string(size_t at, const zend_string *string)
{
	return string ? put_bytes(at, ZSTR_VAL(string), ZSTR_LEN(string)) : at;
}

static size_t put_frame(size_t at, const zend_execute_data *frame)
{
	const zend_function *function = frame->func;

	if (ZEND_USER_CODE(function->type)) {
		at = put_string(at, function->op_array.filename);
		at = put_bytes(at, ":", 1);
		at = put_number(at, frame->opline ? frame->opline->lineno : 0);
		at = put_bytes(at, " ", 1);
	}
	if (function->common.scope) {
		at = put_string(at, function->common.scope->name);
		at = put_bytes(at, "::", 2);
	}
	if (function->common.function_name) {
		at = put_string(at, function->common.function_name);
		at = put_bytes(at, "()", 2);
	}
	return put_bytes(at, "\n", 1);
}

static void tell(int signal)
{
	size_t at = FRAME_HEADER, length, written = 0;
	int saved = errno;
	const zend_execute_data *frame = EG(current_execute_data);

	(void) signal;
	if (descriptor < 0) {
		return;
	}
	if (howdah_writing) {
		/* Rust calls again when its frame is written. */
		howdah_backtrace_due = true;
		return;
	}
	for (; frame && at < sizeof(text); frame = frame->prev_execute_data) {
		if (frame->func) {
			at = put_frame(at, frame);
		}
	}
	length = at - FRAME_HEADER;
	memcpy(text, (char[]){(char) length, (char) (length >> 8), (char) (length >> 16), (char) (length >> 24), KIND_BACKTRACE}, FRAME_HEADER);
	while (written < at) {
		ssize_t done = write(descriptor, text + written, at - written);
		if (done < 0) {
			break;
		}
		written += (size_t) done;
	}
	errno = saved;
}

void howdah_backtrace(void)
{
	tell(SIGUSR2);
}

void howdah_backtrace_install(void)
{
	struct sigaction action = {.sa_handler = tell, .sa_flags = SA_RESTART};

	sigemptyset(&action.sa_mask);
	sigaction(SIGUSR2, &action, NULL);
}

void howdah_php_after_fork(int socket)
{
	descriptor = socket;
	howdah_backtrace_install();
	howdah_reset_random();
}
