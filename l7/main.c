/*
 * sluice-l7: HTTP listeners in front of groups of servers.
 */
#include <stdio.h>
#include <string.h>

#include "l7/supervisor.h"

int main(int argc, char **argv)
{
	if (argc == 3 && strcmp(argv[1], "-t") == 0)
		return slu_supervisor_check(argv[2]);
	if (argc != 2 || argv[1][0] == '-') {
		fprintf(stderr,
			"usage: %s [-t] DOCUMENT\n"
			"  -t  check the document and end\n",
			argv[0]);
		return 2;
	}
	return slu_supervisor_run(argv[1], argv);
}
