/*
 * sluiced: the agent. `sluiced -c FILE` runs in the foreground until SIGTERM;
 * SIGHUP applies FILE again; the API's socket does everything else.
 */
#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "host/agent.h"
#include "host/log.h"
#include "host/version.h"

struct options {
	struct slu_agent_options agent;
	bool check;
};

static void usage(FILE *out)
{
	fprintf(out, "usage: sluiced -c FILE [--check] [--take-over] [--pmd FILE] [-f] [-v]\n"
		     "  -c, --config FILE  configuration (YAML)\n"
		     "      --check        read FILE, name every mistake, and end\n"
		     "      --take-over    end the agent that serves, and go on with its sessions (an upgrade)\n"
		     "      --pmd FILE     driver of the card (librte_net_sluice.so)\n"
		     "  -f, --foreground   stay in the foreground, which is always so\n"
		     "  -v, --verbose      log details, DPDK's too\n"
		     "      --version      of this build\n");
}

/* Returns 0, 1 to end with success, or -EINVAL. */
static int parse(int argc, char **argv, struct options *options)
{
	static const struct option table[] = {{"config", required_argument, NULL, 'c'},
		{"check", no_argument, NULL, 'k'}, {"pmd", required_argument, NULL, 'p'},
		{"take-over", no_argument, NULL, 't'}, {"version", no_argument, NULL, 'V'},
		{"foreground", no_argument, NULL, 'f'}, {"verbose", no_argument, NULL, 'v'},
		{"help", no_argument, NULL, 'h'}, {0}};
	int option;

	while ((option = getopt_long(argc, argv, "c:fvh", table, NULL)) != -1) {
		switch (option) {
		case 'c':
			options->agent.path = optarg;
			break;
		case 'k':
			options->check = true;
			break;
		case 'p':
			options->agent.pmd = optarg;
			break;
		case 't':
			options->agent.take_over = true;
			break;
		case 'V':
			printf("sluiced %s\n", slu_version_text());
			return 1;
		case 'f':
			break;
		case 'v':
			slu_log_set_level(SLU_LOG_DEBUG);
			break;
		case 'h':
			usage(stdout);
			return 1;
		default:
			return -EINVAL;
		}
	}
	return options->agent.path && optind == argc ? 0 : -EINVAL;
}

static void print_errors(struct slu_errors *errors)
{
	for (size_t i = 0; i < errors->count; i++) {
		char *line = slu_errors_format(errors, i);

		fprintf(stderr, "%s\n", line ? line : "out of memory");
		free(line);
	}
	if (errors->suppressed)
		fprintf(stderr, "and %zu more errors\n", errors->suppressed);
}

/* Standard descriptors that are closed would be given to sockets, and the log would go there. */
static void open_standard_descriptors(void)
{
	while (true) {
		FILE *null = fopen("/dev/null", "r+");

		if (!null || fileno(null) > STDERR_FILENO) {
			if (null)
				fclose(null);
			return;
		}
	}
}

int main(int argc, char **argv)
{
	struct options options = {0};
	struct slu_config *config = NULL;
	struct slu_agent agent;
	struct slu_errors errors;
	char *note = NULL;
	int result;

	open_standard_descriptors();
	result = parse(argc, argv, &options);
	if (result != 0) {
		if (result < 0)
			usage(stderr);
		return result < 0 ? 2 : 0;
	}
	slu_errors_init(&errors, options.agent.path);
	result = options.check ? slu_config_load(options.agent.path, &config, &errors)
			       : slu_control_load(options.agent.path, &config, &errors, &note);
	print_errors(&errors);
	slu_errors_clear(&errors);
	if (note)
		slu_info("%s", note);
	free(note);
	if (result != 0)
		return 1;
	if (options.check) {
		slu_config_free(config);
		printf("%s: good\n", options.agent.path);
		return 0;
	}
	signal(SIGPIPE, SIG_IGN);
	result = slu_agent_start(&agent, config, &options.agent);
	if (result == 0)
		slu_agent_run(&agent);
	slu_agent_stop(&agent);
	return result ? 1 : 0;
}
