/* `howdah-php cli`: the PHP command line. */
#include "shim.h"

int howdah_cli(int argc, char **argv)
{
	(void) argc;
	(void) argv;
	return 1;
}
