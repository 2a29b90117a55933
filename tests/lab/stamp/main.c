/* stamp: an independent judge of connections. It knows nothing of what stands between its two ends. */
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/resource.h>

#include "tests/lab/line.h"
#include "tests/lab/stamp/client.h"
#include "tests/lab/stamp/control.h"
#include "tests/lab/stamp/judge.h"
#include "tests/lab/stamp/loop.h"
#include "tests/lab/stamp/report.h"
#include "tests/lab/stamp/server.h"
#include "tests/lab/stamp/stream.h"

#define TARGETS_MAX 64u
#define SOURCES_MAX 64u
#define TALK_AGAIN_S 3u

static const char USAGE[] =
	"usage: stamp serve --name N --port P\n"
	"       stamp run --tcp ADDRESS,PORT,COUNT | --udp ADDRESS,PORT,COUNT ... [OPTION...]\n"
	"       stamp tell SOCKET cut|healed|fault NAME|quiet|talk|report|line|list|gap|end\n"
	"serve: both protocols and families; SIGINT or SIGTERM ends it; exit status 1 if it saw a wrong byte\n"
	"run: bytes go both ways until the end; exit status 0: nobody who counted was lost; 1: somebody was;\n"
	"     2: wrong usage; 3: to some target nobody counted\n"
	"  --duration S       ends so; without it SIGINT, SIGTERM or `tell SOCKET end`\n"
	"  --hold S           then silent for S seconds, with all connections open, and 3 s of traffic again\n"
	"  --rate BYTES       a second, connection or flow and direction (2000)\n"
	"  --interval MS      a data packet so often (100)\n"
	"  --life MS          of each connection, half to one and a half; then the next (until the end)\n"
	"  --ramp MS          the first ones are opened spread over so long (1000)\n"
	"  --from ADDRESS     source address, several in turn\n"
	"  --seed N           of ids and lives\n"
	"  --can-rest         the servers fall silent with the client: for --hold and `tell ... quiet`\n"
	"  --control SOCKET   where it is told\n"
	"  --report FILE      JSON at the end (-: standard output)\n"
	"  --log FILE         a line of JSON for each connection at its end\n";

struct run_options {
	struct stamp_client_options client;
	struct stamp_client_target targets[TARGETS_MAX];
	struct stamp_address sources[SOURCES_MAX];
	uint32_t target_count, source_count;
	uint32_t duration_s, hold_s, rate;
	const char *control, *report, *log;
};

static int usage(const char *what, const char *which)
{
	if (what != NULL)
		fprintf(stderr, "stamp: %s: %s\n", what, which);
	fputs(USAGE, stderr);
	return 2;
}

static bool number(const char *text, uint32_t low, uint32_t high, uint32_t *value)
{
	char *end;
	unsigned long n = strtoul(text, &end, 10);

	if (*text < '0' || *text > '9' || *end != '\0' || n < low || n > high)
		return false;
	*value = (uint32_t)n;
	return true;
}

static bool target(struct run_options *o, enum stamp_protocol protocol, char *text)
{
	struct stamp_client_target *t = &o->targets[o->target_count];
	char *host = strtok(text, ","), *port_text = strtok(NULL, ","), *count_text = strtok(NULL, "");
	uint32_t port;

	if (o->target_count == TARGETS_MAX || host == NULL || port_text == NULL || count_text == NULL ||
		!number(port_text, 1, 65535, &port) || !number(count_text, 1, 15000, &t->count) ||
		stamp_socket_address(host, (uint16_t)port, &t->to) < 0)
		return false;
	t->protocol = protocol;
	o->target_count++;
	return true;
}

static bool source(struct run_options *o, const char *text)
{
	return o->source_count < SOURCES_MAX && stamp_socket_address(text, 0, &o->sources[o->source_count++]) == 0;
}

enum { TCP, UDP, DURATION, HOLD, RATE, INTERVAL, LIFE, RAMP, FROM, SEED, CAN_REST, CONTROL, REPORT, LOG };

static const struct option RUN_OPTIONS[] = {
	{"tcp", required_argument, NULL, TCP},
	{"udp", required_argument, NULL, UDP},
	{"duration", required_argument, NULL, DURATION},
	{"hold", required_argument, NULL, HOLD},
	{"rate", required_argument, NULL, RATE},
	{"interval", required_argument, NULL, INTERVAL},
	{"life", required_argument, NULL, LIFE},
	{"ramp", required_argument, NULL, RAMP},
	{"from", required_argument, NULL, FROM},
	{"seed", required_argument, NULL, SEED},
	{"can-rest", no_argument, NULL, CAN_REST},
	{"control", required_argument, NULL, CONTROL},
	{"report", required_argument, NULL, REPORT},
	{"log", required_argument, NULL, LOG},
	{0},
};

static bool run_option(struct run_options *o, int option, char *text)
{
	uint32_t value;

	switch (option) {
	case TCP:
		return target(o, STAMP_TCP, text);
	case UDP:
		return target(o, STAMP_UDP, text);
	case DURATION:
		return number(text, 1, 1000000, &o->duration_s);
	case HOLD:
		o->client.quiet = true;
		return number(text, 1, 1000000, &o->hold_s);
	case RATE:
		return number(text, 1, 100000000, &o->rate);
	case INTERVAL:
		return number(text, 5, 4000, &o->client.interval_ms);
	case LIFE:
		return number(text, 100, 100000000, &o->client.life_ms);
	case RAMP:
		return number(text, 0, 1000000, &o->client.ramp_ms);
	case FROM:
		return source(o, text);
	case SEED:
		if (!number(text, 0, UINT32_MAX, &value))
			return false;
		o->client.seed = value;
		return true;
	case CAN_REST:
		o->client.quiet = true;
		return true;
	case CONTROL:
		o->control = text;
		return true;
	case REPORT:
		o->report = text;
		return true;
	case LOG:
		o->log = text;
		return true;
	default:
		return false;
	}
}

static bool read_options(struct run_options *o, int argc, char **argv)
{
	uint32_t seed = 0;
	int option, index = 0;
	uint64_t chunk;

	(void)!getrandom(&seed, sizeof(seed), 0);
	o->rate = 2000;
	o->client.interval_ms = 100;
	o->client.ramp_ms = 1000;
	o->client.seed = seed;
	while ((option = getopt_long(argc, argv, "", RUN_OPTIONS, &index)) >= 0) {
		if (option == '?')
			return false;
		if (!run_option(o, option, optarg)) {
			fprintf(stderr, "stamp: --%s: %s makes no sense\n", RUN_OPTIONS[index].name, optarg);
			return false;
		}
	}
	chunk = (uint64_t)o->rate * o->client.interval_ms / 1000;
	o->client.chunk_bytes = chunk < 1 ? 1 : chunk > STAMP_CHUNK_MAX ? STAMP_CHUNK_MAX : (uint32_t)chunk;
	return optind == argc && o->target_count > 0;
}

static void on_stop(struct stamp_timer *timer)
{
	(void)timer;
	stamp_loop_stop();
}

/* Returns true when a signal came, or the socket said end, before the time was over. */
static bool run_for(uint32_t seconds)
{
	struct stamp_timer timer = {.run = on_stop};
	bool early;

	if (seconds > 0)
		stamp_loop_set(&timer, stamp_loop_now_us() + seconds * 1000000ull);
	stamp_loop_run();
	early = timer.next != NULL;
	stamp_loop_unset(&timer);
	return early;
}

static void write_report(const struct run_options *o)
{
	FILE *out = o->report == NULL ? NULL : strcmp(o->report, "-") == 0 ? stdout : fopen(o->report, "we");

	if (o->report != NULL && out == NULL)
		fprintf(stderr, "stamp: %s: %s\n", o->report, strerror(errno));
	if (out != NULL)
		stamp_report_json(out, o->target_count);
	if (out != NULL && out != stdout)
		fclose(out);
	stamp_report_text(stdout, o->target_count);
}

static void run_phases(const struct run_options *o)
{
	if (run_for(o->duration_s) || o->hold_s == 0)
		return;
	stamp_client_quiet(true);
	if (run_for(o->hold_s))
		return;
	stamp_client_quiet(false);
	run_for(TALK_AGAIN_S);
}

static int run(int argc, char **argv)
{
	static struct run_options o;
	int result;

	if (!read_options(&o, argc, argv))
		return usage(NULL, NULL);
	if (o.log != NULL) {
		FILE *log = fopen(o.log, "we");

		if (log == NULL)
			return usage(o.log, strerror(errno));
		stamp_judge_log(log);
	}
	result = stamp_loop_open();
	if (result == 0 && o.control != NULL)
		result = stamp_control_open(o.control, o.target_count);
	if (result == 0)
		result = stamp_client_open(&o.client, o.targets, o.target_count, o.sources, o.source_count);
	if (result < 0) {
		fprintf(stderr, "stamp: %s\n", strerror(-result));
		return 2;
	}
	run_phases(&o);
	if (!stamp_client_end() && stamp_loop_run())
		stamp_client_break_off(); /* a second signal */
	write_report(&o);
	if (o.control != NULL)
		stamp_control_close(o.control);
	return stamp_report_status(o.target_count);
}

static int serve(int argc, char **argv)
{
	uint32_t name = 0, port = 0;
	int result;

	if (argc != 5 || strcmp(argv[1], "--name") != 0 || strcmp(argv[3], "--port") != 0 ||
		!number(argv[2], 1, UINT32_MAX, &name) || !number(argv[4], 1, 65535, &port))
		return usage(NULL, NULL);
	result = stamp_loop_open();
	if (result == 0)
		result = stamp_server_open(name, (uint16_t)port);
	if (result < 0) {
		fprintf(stderr, "stamp: port %u: %s\n", port, strerror(-result));
		return 2;
	}
	stamp_loop_run();
	return stamp_server_report(stdout) > 0;
}

static int tell(int argc, char **argv)
{
	return argc < 3 ? usage(NULL, NULL) : lab_line_tell(argv[1], argv + 2, argc - 2);
}

/* Thousands of connections: as many descriptors as are allowed. */
static void raise_limit(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
		limit.rlim_cur = limit.rlim_max;
		setrlimit(RLIMIT_NOFILE, &limit);
	}
}

int main(int argc, char **argv)
{
	raise_limit();
	if (argc > 1 && strcmp(argv[1], "serve") == 0)
		return serve(argc - 1, argv + 1);
	if (argc > 1 && strcmp(argv[1], "run") == 0)
		return run(argc - 1, argv + 1);
	if (argc > 1 && strcmp(argv[1], "tell") == 0)
		return tell(argc - 1, argv + 1);
	return usage(NULL, NULL);
}
