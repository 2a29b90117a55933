#include "options.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Clocks of record memory unless told otherwise: a lone packet costs the simulator as many. */
#define RECORD_LATENCY_CLOCKS 16u

static const char usage[] =
	"usage: sluice-nic --socket PATH --wire 0=tap:NAME|packet:IFACE [--wire 1=...]\n"
	"  --socket PATH               UNIX socket of the vfio-user device\n"
	"  --wire W=tap:NAME           wire W is TAP interface NAME (made if it does not exist)\n"
	"  --wire W=packet:IFACE       wire W is interface IFACE\n"
	"  --mac [W=]aa:bb:cc:dd:ee:ff MAC address of port W (default 02:51:ce:00:00:0W)\n"
	"  --record-latency MIN[:MAX]  clocks of record memory (default 16); with MAX drawn and reordered\n"
	"  --delay-us [W=]N            delay frames of wire W (all wires), both directions\n"
	"  --loss [W=]P                lose frames with probability P\n"
	"  --reorder [W=]P             hold frames back with probability P\n"
	"  --seed N                    of everything random\n"
	"  --trace FILE                write FST waves\n"
	"  --stats                     print statistics at the end (SIGUSR1: now)\n";

enum {
	OPT_SOCKET = 256,
	OPT_WIRE,
	OPT_MAC,
	OPT_RECORD,
	OPT_DELAY,
	OPT_LOSS,
	OPT_REORDER,
	OPT_SEED,
	OPT_TRACE,
	OPT_STATS,
	OPT_HELP
};

static const struct option longs[] = {
	{"socket", required_argument, NULL, OPT_SOCKET},
	{"wire", required_argument, NULL, OPT_WIRE},
	{"mac", required_argument, NULL, OPT_MAC},
	{"record-latency", required_argument, NULL, OPT_RECORD},
	{"delay-us", required_argument, NULL, OPT_DELAY},
	{"loss", required_argument, NULL, OPT_LOSS},
	{"reorder", required_argument, NULL, OPT_REORDER},
	{"seed", required_argument, NULL, OPT_SEED},
	{"trace", required_argument, NULL, OPT_TRACE},
	{"stats", no_argument, NULL, OPT_STATS},
	{"help", no_argument, NULL, OPT_HELP},
	{0},
};

static int bad(const char *option, const char *value, const char *rule)
{
	fprintf(stderr, "sluice-nic: --%s %s: %s\n", option, value, rule);
	return -EINVAL;
}

static int parse_number(const char *text, uint64_t max, uint64_t *value)
{
	char *end;

	errno = 0;
	*value = strtoull(text, &end, 0);
	return errno || end == text || *end || *text == '-' || *value > max ? -EINVAL : 0;
}

static int parse_probability(const char *text, double *value)
{
	char *end;

	*value = strtod(text, &end);
	return end == text || *end || !(*value >= 0 && *value <= 1) ? -EINVAL : 0;
}

/* Splits "W=rest"; without "W=" it is all wires. Returns the rest, or NULL for a wire that does not exist. */
static const char *wire_range(const char *text, unsigned int *first, unsigned int *end)
{
	const char *equals = strchr(text, '=');
	uint64_t wire = 0;

	*first = 0;
	*end = SLU_NIC_MODEL_PORTS;
	if (!equals)
		return text;
	for (const char *p = text; p < equals; p++) {
		if (*p < '0' || *p > '9' || wire >= SLU_NIC_MODEL_PORTS)
			return NULL;
		wire = wire * 10 + (uint64_t)(*p - '0');
	}
	if (equals == text || wire >= SLU_NIC_MODEL_PORTS)
		return NULL;
	*first = (unsigned int)wire;
	*end = *first + 1;
	return equals + 1;
}

static int parse_wire(struct slu_options *o, const char *text)
{
	unsigned int first, end;
	const char *spec = strchr(text, '=') ? wire_range(text, &first, &end) : NULL;
	const char *colon = spec ? strchr(spec, ':') : NULL;
	size_t kind_len;

	if (!colon)
		return bad("wire", text, "must be W=tap:NAME or W=packet:IFACE, W being 0 or 1");
	kind_len = (size_t)(colon - spec);
	if (kind_len >= sizeof(o->wires[0].kind) || strlen(colon + 1) >= sizeof(o->wires[0].name) || !colon[1])
		return bad("wire", text, "the name is empty or too long");
	if (strncmp(spec, "tap:", 4) && strncmp(spec, "packet:", 7))
		return bad("wire", text, "only tap and packet are known");
	if (o->wires[first].kind[0])
		return bad("wire", text, "this wire is given twice");
	memcpy(o->wires[first].kind, spec, kind_len);
	strcpy(o->wires[first].name, colon + 1);
	return 0;
}

static int parse_mac(struct slu_options *o, const char *text)
{
	unsigned int first, end, b[6];
	const char *mac = wire_range(text, &first, &end);
	char more;

	if (!mac || sscanf(mac, "%2x:%2x:%2x:%2x:%2x:%2x%c", &b[0], &b[1], &b[2], &b[3], &b[4], &b[5], &more) != 6 ||
		(b[0] & 1))
		return bad("mac", text, "must be [W=] and a unicast MAC address");
	for (unsigned int w = first; w < end; w++)
		for (int i = 0; i < 6; i++)
			o->wires[w].mac[i] = (uint8_t)b[i];
	return 0;
}

static int parse_latency(struct slu_options *o, const char *text)
{
	unsigned int min, max;
	char more;
	int n = sscanf(text, "%u:%u%c", &min, &max, &more);

	if (n == 1 && sscanf(text, "%u%c", &min, &more) == 1)
		max = min;
	else if (n != 2)
		return bad("record-latency", text, "must be MIN or MIN:MAX");
	if (min < 1 || min > max || max > 60000)
		return bad("record-latency", text, "must be 1..60000 clocks, MIN at most MAX");
	o->record = (struct slu_nic_latency){min, max};
	return 0;
}

static int parse_impairment(struct slu_options *o, int option, const char *text)
{
	unsigned int first, end;
	const char *value = wire_range(text, &first, &end);
	uint64_t delay_us = 0;
	double p = 0;

	if (option == OPT_DELAY) {
		if (!value || parse_number(value, 10000000, &delay_us))
			return bad("delay-us", text, "must be [W=] and at most 10000000");
	} else if (!value || parse_probability(value, &p)) {
		return bad(option == OPT_LOSS ? "loss" : "reorder", text, "must be [W=] and a probability, 0 to 1");
	}
	for (unsigned int w = first; w < end; w++) {
		if (option == OPT_DELAY)
			o->wires[w].impairment.delay_us = (uint32_t)delay_us;
		else if (option == OPT_LOSS)
			o->wires[w].impairment.loss = p;
		else
			o->wires[w].impairment.reorder = p;
	}
	return 0;
}

static int parse_one(struct slu_options *o, int option, char *arg)
{
	switch (option) {
	case OPT_SOCKET:
		o->socket = arg;
		return 0;
	case OPT_WIRE:
		return parse_wire(o, arg);
	case OPT_MAC:
		return parse_mac(o, arg);
	case OPT_RECORD:
		return parse_latency(o, arg);
	case OPT_DELAY:
	case OPT_LOSS:
	case OPT_REORDER:
		return parse_impairment(o, option, arg);
	case OPT_SEED:
		return parse_number(arg, UINT64_MAX, &o->seed) ? bad("seed", arg, "must be a number") : 0;
	case OPT_TRACE:
		o->trace = arg;
		return 0;
	case OPT_STATS:
		o->stats = true;
		return 0;
	case OPT_HELP:
		fputs(usage, stdout);
		return 1;
	default:
		fputs(usage, stderr);
		return -EINVAL;
	}
}

int slu_options_parse(struct slu_options *o, int argc, char **argv)
{
	int option;

	memset(o, 0, sizeof(*o));
	o->seed = 1;
	o->record = (struct slu_nic_latency){RECORD_LATENCY_CLOCKS, RECORD_LATENCY_CLOCKS};
	for (unsigned int w = 0; w < SLU_NIC_MODEL_PORTS; w++)
		memcpy(o->wires[w].mac, (uint8_t[6]){0x02, 0x51, 0xCE, 0, 0, (uint8_t)w}, 6);
	while ((option = getopt_long(argc, argv, "", longs, NULL)) != -1) {
		int err = parse_one(o, option, optarg);

		if (err)
			return err;
	}
	if (optind < argc)
		return bad("", argv[optind], "not an option");
	if (!o->socket)
		return bad("socket", "", "is missing");
	return 0;
}
