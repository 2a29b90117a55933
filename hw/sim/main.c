/* sluice-nic: the simulated card as a PCI device over vfio-user. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "nic_model.h"
#include "options.h"
#include "server.h"

/* Waves need a build of their own, which stands beside this program. Returns only if it cannot be had. */
static void become_tracer(char **argv)
{
	static const char suffix[] = "-trace";
	char path[4096];
	ssize_t n = readlink("/proc/self/exe", path, sizeof(path) - sizeof(suffix));

	if (n < 0)
		return;
	memcpy(path + n, suffix, sizeof(suffix));
	execv(path, argv);
	fprintf(stderr, "sluice-nic: --trace needs %s (make build/bin/sluice-nic-trace): %s\n", path, strerror(errno));
}

int main(int argc, char **argv)
{
	struct slu_options options;
	struct slu_server *server;
	int err = slu_options_parse(&options, argc, argv);

	if (err)
		return err < 0 ? 2 : 0;
	if (options.trace && !slu_nic_model_can_trace()) {
		become_tracer(argv);
		return 1;
	}
	if (slu_server_create(&options, &server))
		return 1;
	puts("ready");
	fflush(stdout);
	err = slu_server_run(server);
	slu_server_destroy(server);
	return err ? 1 : 0;
}
