/* sluice-nic: the simulated card as a PCI device over vfio-user. */
#include <stdio.h>

#include "options.h"
#include "server.h"

int main(int argc, char **argv)
{
	struct slu_options options;
	struct slu_server *server;
	int err = slu_options_parse(&options, argc, argv);

	if (err)
		return err < 0 ? 2 : 0;
	if (slu_server_create(&options, &server))
		return 1;
	puts("ready");
	fflush(stdout);
	err = slu_server_run(server);
	slu_server_destroy(server);
	return err ? 1 : 0;
}
