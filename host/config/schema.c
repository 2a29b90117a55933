#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#include "host/config/memory.h"
#include "host/config/reader.h"
#include "host/config/schema.h"
#include "host/config/schema_parts.h"
#include "host/control/ip.h"

const char *const slu_schema_schedulers[] = {
	[SLU_SCHED_RR] = "rr", [SLU_SCHED_WRR] = "wrr", [SLU_SCHED_WLC] = "wlc", [SLU_SCHED_MAGLEV] = "maglev", NULL};
const char *const slu_schema_modes[] = {[SLU_MODE_FULLNAT] = "fullnat",
	[SLU_MODE_NAT] = "nat",
	[SLU_MODE_SNAT] = "snat",
	[SLU_MODE_EIP] = "eip",
	[SLU_MODE_DR] = "dr",
	[SLU_MODE_TUN] = "tun",
	NULL};
/* Of a listener. */
static const char *const listener_modes[] = {[SLU_MODE_FULLNAT] = "fullnat", [SLU_MODE_NAT] = "nat", NULL};
const char *const slu_schema_client_addresses[] = {[SLU_CLIENT_ADDRESS_NONE] = "none",
	[SLU_CLIENT_ADDRESS_TOA] = "toa",
	[SLU_CLIENT_ADDRESS_PROXY_V2] = "proxy_v2",
	NULL};
const char *const slu_schema_checks[] = {
	[SLU_CHECK_NONE] = "none", [SLU_CHECK_TCP] = "tcp", [SLU_CHECK_HTTP] = "http", [SLU_CHECK_UDP] = "udp", NULL};

/* Linux: net/netfilter/ipvs/ip_vs_proto_tcp.c, ip_vs_proto_udp.c */
const struct slu_timeouts slu_schema_timeouts = {.syn_recv = 60,
	.syn_sent = 120,
	.established = 900,
	.fin_wait = 120,
	.time_wait = 120,
	.close = 10,
	.close_wait = 60,
	.last_ack = 30,
	.udp = 300};

static const struct slu_config_offload offload_default = {.enabled = true, .threshold_packets = 3};

static void read_version(
	struct slu_reader *reader, const struct slu_node *node, void *target, const struct slu_field *f)
{
	const char *text = slu_reader_plain(reader, node);

	(void)target, (void)f;
	if (text != NULL && strcmp(text, "1") != 0)
		slu_reader_refuse(reader, node, "this program reads version 1 only");
}

void slu_schema_prefix(struct slu_reader *reader, const struct slu_node *node, void *target, const struct slu_field *f)
{
	const char *text = slu_reader_plain(reader, node), *slash;
	struct slu_config_prefix prefix = {0};
	char address[SLU_IP_TEXT_BYTES] = "";
	unsigned long bits;

	(void)f;
	if (text == NULL)
		return;
	slash = strchr(text, '/');
	if (slash == NULL || slash[1] == '\0' || strlen(slash) > 4 ||
		strspn(slash + 1, "0123456789") != strlen(slash + 1) || (size_t)(slash - text) >= sizeof(address)) {
		slu_reader_refuse(
			reader, node, "must be an address with the length of its prefix, as in 198.18.1.2/24");
		return;
	}
	memcpy(address, text, (size_t)(slash - text));
	if (!slu_reader_ip(reader, node, address, &prefix.ip))
		return;
	bits = strtoul(slash + 1, NULL, 10);
	if (bits < 1 || bits > (prefix.ip.family == 4 ? 32 : 128)) {
		slu_reader_refuse(reader, node, "the prefix of an IPv%u address has 1..%u bits", prefix.ip.family,
			prefix.ip.family == 4 ? 32 : 128);
		return;
	}
	prefix.bits = (uint8_t)bits;
	*(struct slu_config_prefix *)target = prefix;
}

void slu_schema_network(struct slu_reader *reader, const struct slu_node *node, void *target, const struct slu_field *f)
{
	struct slu_config_prefix prefix = {0};
	char text[SLU_IP_TEXT_BYTES];
	struct slu_ip network;

	slu_schema_prefix(reader, node, &prefix, f);
	if (prefix.bits == 0)
		return;
	network = slu_ip_network(&prefix.ip, prefix.bits);
	if (slu_ip_compare(&network, &prefix.ip) != 0)
		slu_reader_refuse(reader, node, "has bits behind the prefix; its network is %s/%u",
			slu_ip_format(&network, text), prefix.bits);
	else
		*(struct slu_config_prefix *)target = prefix;
}

void slu_schema_interface(
	struct slu_reader *reader, const struct slu_node *node, void *target, const struct slu_field *f)
{
	char name[SLU_NAME_BYTES] = "";

	slu_reader_name(reader, node, name, f);
	if (strlen(name) >= SLU_INTERFACE_BYTES)
		slu_reader_refuse(reader, node, "an interface name has at most %u characters", SLU_INTERFACE_BYTES - 1);
	else
		memcpy(target, name, strlen(name) + 1);
}

static void read_port(struct slu_reader *reader, const struct slu_node *node, void *target, const struct slu_field *f)
{
	static const struct slu_field fields[] = {
		{"name", slu_reader_name, AT(slu_config_port, name), .required = true},
		{"device", slu_reader_string, AT(slu_config_port, device), .min = 1, .max = 1024, .required = true},
		{"index", slu_reader_u32, AT(slu_config_port, index), .max = 63},
		{"tap", slu_schema_interface, AT(slu_config_port, tap), .required = true},
		{"queues", slu_reader_u32, AT(slu_config_port, queues), .min = 1, .max = 64},
		{"addresses", slu_reader_list, LIST(slu_config_port, addresses, address_count, slu_schema_prefix),
			.max = 64},
	};
	struct slu_config_port *port = target;

	(void)f;
	port->queues = 1;
	slu_reader_mapping(reader, node, target, fields, COUNT(fields));
}

static void read_eal_argument(
	struct slu_reader *reader, const struct slu_node *node, void *target, const struct slu_field *f)
{
	static const struct slu_field bounds = {.min = 1, .max = 1024};

	(void)f;
	slu_reader_string(reader, node, target, &bounds);
}

/* Where the members of a list of addresses go. */
struct address_list {
	struct slu_config_addresses addresses;
	uint32_t max;
	const char *what;
};

/* Adds the addresses first..last. */
static void add_addresses(struct slu_reader *reader, const struct slu_node *node, struct address_list *list,
	struct slu_ip first, const struct slu_ip *last, uint32_t item)
{
	struct slu_config_addresses *to = &list->addresses;

	do {
		if (to->count == list->max) {
			slu_reader_refuse(reader, node, "more than %u %s in all", list->max, list->what);
			return;
		}
		to->ips = slu_memory_resize(to->ips, to->count + 1, sizeof(*to->ips));
		to->items = slu_memory_resize(to->items, to->count + 1, sizeof(*to->items));
		to->items[to->count] = item;
		to->ips[to->count++] = first;
	} while (slu_ip_compare(&first, last) < 0 && slu_ip_increment(&first));
}

/* One address, or "first-last". */
static void read_range_of_addresses(struct slu_reader *reader, const struct slu_node *node, size_t index, void *arg)
{
	const char *text = slu_reader_plain(reader, node), *dash;
	char left[SLU_IP_TEXT_BYTES] = "";
	struct slu_ip first, last;

	if (text == NULL)
		return;
	dash = strchr(text, '-');
	if (dash == NULL) {
		if (slu_reader_ip(reader, node, text, &first))
			add_addresses(reader, node, arg, first, &first, (uint32_t)index);
		return;
	}
	if ((size_t)(dash - text) >= sizeof(left)) {
		slu_reader_refuse(reader, node, "must be an address, or a range first-last");
		return;
	}
	memcpy(left, text, (size_t)(dash - text));
	if (!slu_reader_ip(reader, node, left, &first) || !slu_reader_ip(reader, node, dash + 1, &last))
		return;
	if (first.family != last.family || slu_ip_compare(&first, &last) > 0)
		slu_reader_refuse(
			reader, node, "the range's end must be of the same family and not before its beginning");
	else
		add_addresses(reader, node, arg, first, &last, (uint32_t)index);
}

static void read_locals(struct slu_reader *reader, const struct slu_node *node, void *target, const struct slu_field *f)
{
	struct address_list list = {.max = SLU_CONFIG_MAX_LOCALS, .what = "local addresses"};
	struct slu_config *config = target;

	(void)f;
	slu_reader_sequence(reader, node, SLU_CONFIG_MAX_LOCALS, read_range_of_addresses, &list);
	config->locals = list.addresses.ips;
	config->local_items = list.addresses.items;
	config->local_count = list.addresses.count;
}

/* "200" or "200-399" */
static void read_range(struct slu_reader *reader, const struct slu_node *node, uint16_t *first, uint16_t *last,
	unsigned min, unsigned max, const char *example)
{
	const char *text = slu_reader_plain(reader, node);
	unsigned long from, to;
	char *end;

	if (text == NULL)
		return;
	from = to = strtoul(text, &end, 10);
	if (end != text && *end == '-' && end[1] >= '0' && end[1] <= '9')
		to = strtoul(end + 1, &end, 10);
	if (text[0] < '0' || text[0] > '9' || *end != '\0')
		slu_reader_refuse(reader, node, "must be a number or a range such as %s", example);
	else if (from < min || from > max || to < min || to > max)
		slu_reader_refuse(reader, node, "is out of range, must be within %u..%u", min, max);
	else if (from > to)
		slu_reader_refuse(reader, node, "the range ends before it begins");
	else {
		*first = (uint16_t)from;
		*last = (uint16_t)to;
	}
}

static void read_status(struct slu_reader *reader, const struct slu_node *node, void *target, const struct slu_field *f)
{
	struct slu_config_check *check = target;

	(void)f;
	read_range(reader, node, &check->status_first, &check->status_last, 100, 599, "\"200-399\"");
}

/*
 * Bytes of a datagram: the characters U+0000..U+00FF stand for one byte each,
 * so that "\xNN" of YAML means what it looks like. Returns how many; -1 if there
 * are other characters, or too many.
 */
static int bytes_of(const char *text, size_t length, uint8_t bytes[SLU_CONFIG_PROBE_BYTES])
{
	unsigned count = 0;

	for (size_t i = 0; i < length; i++) {
		unsigned first = (unsigned char)text[i];

		if (count == SLU_CONFIG_PROBE_BYTES || first > 0xC3)
			return -1;
		/* UTF-8: C2 80 .. C3 BF */
		bytes[count++] = (uint8_t)(first < 0x80 ? first : (first & 3) << 6 | ((unsigned char)text[++i] & 0x3F));
	}
	return (int)count;
}

static void read_bytes(struct slu_reader *reader, const struct slu_node *node, uint8_t *to, uint16_t *count)
{
	uint8_t bytes[SLU_CONFIG_PROBE_BYTES];
	const char *text;
	size_t length;
	int got;

	if (slu_node_kind(node) != SLU_NODE_SCALAR) {
		slu_reader_refuse(reader, node, "must be a single value");
		return;
	}
	text = slu_node_text(node, &length);
	got = bytes_of(text, length, bytes);
	if (got < 1) {
		slu_reader_refuse(
			reader, node, "must have 1 to %u bytes, written as ASCII or \"\\xNN\"", SLU_CONFIG_PROBE_BYTES);
		return;
	}
	memcpy(to, bytes, (size_t)got);
	*count = (uint16_t)got;
}

static void read_send(struct slu_reader *reader, const struct slu_node *node, void *target, const struct slu_field *f)
{
	struct slu_config_check *check = target;

	(void)f;
	read_bytes(reader, node, check->send, &check->send_bytes);
}

static void read_expect(struct slu_reader *reader, const struct slu_node *node, void *target, const struct slu_field *f)
{
	struct slu_config_check *check = target;

	(void)f;
	read_bytes(reader, node, check->expect, &check->expect_bytes);
}

/* What stands in the request line or a header must not be able to end it. */
static void read_http_text(
	struct slu_reader *reader, const struct slu_node *node, void *target, const struct slu_field *f)
{
	const char *text = slu_reader_plain(reader, node);

	if (text == NULL)
		return;
	for (const char *at = text; *at != '\0'; at++) {
		if (*at <= ' ' || *at > '~') {
			slu_reader_refuse(
				reader, node, "must be printable ASCII without blanks (percent-encode others)");
			return;
		}
	}
	if (f->min == 1 && strcmp(f->key, "path") == 0 && text[0] != '/')
		slu_reader_refuse(reader, node, "must begin with '/'");
	else
		slu_reader_string(reader, node, target, f);
}

/* Keys that mean something for one type of check only. */
static void refuse_foreign_check_keys(
	struct slu_reader *reader, const struct slu_node *node, const struct slu_config_check *check)
{
	static const struct {
		const char *key;
		enum slu_check_type type;
	} rows[] = {{"path", SLU_CHECK_HTTP}, {"host", SLU_CHECK_HTTP}, {"status", SLU_CHECK_HTTP},
		{"send", SLU_CHECK_UDP}, {"expect", SLU_CHECK_UDP}};

	for (size_t i = 0; i < COUNT(rows); i++)
		if (check->type != rows[i].type && slu_node_find(node, rows[i].key) != NULL)
			slu_reader_refuse(reader, slu_node_find(node, rows[i].key), "key %s is for type %s only",
				rows[i].key, slu_schema_checks[rows[i].type]);
}

static void read_check(struct slu_reader *reader, const struct slu_node *node, void *target, const struct slu_field *f)
{
	static const struct slu_field fields[] = {
		{"type", slu_reader_word, AT(slu_config_check, type), .words = slu_schema_checks, .required = true},
		{"port", slu_reader_u16, AT(slu_config_check, port), .min = 1, .max = 65535},
		{"interval_ms", slu_reader_u32, AT(slu_config_check, interval_ms), .min = 10, .max = 3600000},
		{"timeout_ms", slu_reader_u32, AT(slu_config_check, timeout_ms), .min = 1, .max = 60000},
		{"rise", slu_reader_u32, AT(slu_config_check, rise), .min = 1, .max = 100},
		{"fall", slu_reader_u32, AT(slu_config_check, fall), .min = 1, .max = 100},
		{"path", read_http_text, AT(slu_config_check, path), .min = 1, .max = 1024},
		{"host", read_http_text, AT(slu_config_check, host), .min = 1, .max = 255},
		{"status", read_status},
		{"send", read_send},
		{"expect", read_expect},
	};
	struct slu_config_check *check = target;
	const struct slu_node *timeout = slu_node_find(node, "timeout_ms"), *type = slu_node_find(node, "type");
	size_t before = reader->errors->count;

	(void)f;
	slu_reader_mapping(reader, node, target, fields, COUNT(fields));
	if (timeout == NULL && check->timeout_ms > check->interval_ms)
		check->timeout_ms = check->interval_ms;
	if (reader->errors->count == before && check->timeout_ms > check->interval_ms)
		slu_reader_refuse(reader, timeout, "timeout_ms %u is longer than interval_ms %u", check->timeout_ms,
			check->interval_ms);
	if (type == NULL || (check->type == SLU_CHECK_NONE && strcmp(slu_node_text(type, NULL) ?: "", "none") != 0))
		return; /* the type is not known */
	refuse_foreign_check_keys(reader, node, check);
	if (check->type == SLU_CHECK_UDP && slu_node_find(node, "send") == NULL)
		slu_reader_refuse(reader, node, "key send is missing: a UDP check needs something to send");
}

static void read_backend(
	struct slu_reader *reader, const struct slu_node *node, void *target, const struct slu_field *f)
{
	static const struct slu_field fields[] = {
		{"name", slu_reader_name, AT(slu_config_backend, name), .required = true},
		{"address", slu_reader_address, AT(slu_config_backend, address), .required = true},
		{"port", slu_reader_u16, AT(slu_config_backend, port), .max = 65535},
		{"weight", slu_reader_u16, AT(slu_config_backend, weight), .max = SLU_CONFIG_MAX_WEIGHT},
	};
	struct slu_config_backend *backend = target;

	(void)f;
	backend->weight = 1;
	slu_reader_mapping(reader, node, target, fields, COUNT(fields));
}

static void read_group(struct slu_reader *reader, const struct slu_node *node, void *target, const struct slu_field *f)
{
	static const struct slu_field fields[] = {
		{"name", slu_reader_name, AT(slu_config_group, name), .required = true},
		{"scheduler", slu_reader_word, AT(slu_config_group, scheduler), .words = slu_schema_schedulers},
		{"check", read_check, AT(slu_config_group, check)},
		{"backends", slu_reader_list, LIST(slu_config_group, backends, backend_count, read_backend),
			.max = SLU_CONFIG_MAX_BACKENDS, .required = true},
	};
	struct slu_config_group *group = target;

	(void)f;
	group->scheduler = SLU_SCHED_MAGLEV;
	group->check = (struct slu_config_check){.type = SLU_CHECK_NONE,
		.interval_ms = 2000,
		.timeout_ms = 1000,
		.rise = 2,
		.fall = 3,
		.path = slu_memory_copy("/"),
		.status_first = 200,
		.status_last = 200};
	slu_reader_mapping(reader, node, target, fields, COUNT(fields));
}

static void read_protocol(
	struct slu_reader *reader, const struct slu_node *node, void *target, const struct slu_field *f)
{
	static const char *const words[] = {"tcp", "udp", NULL};
	const struct slu_field field = {.words = words};
	int word = -1;

	(void)f;
	slu_reader_word(reader, node, &word, &field);
	if (word >= 0)
		*(uint8_t *)target = word == 0 ? IPPROTO_TCP : IPPROTO_UDP;
}

static void read_listener_ports(
	struct slu_reader *reader, const struct slu_node *node, void *target, const struct slu_field *f)
{
	struct slu_config_listener *listener = target;

	(void)f;
	read_range(reader, node, &listener->port_first, &listener->port_last, 1, 65535, "\"8000-8100\"");
}

static void read_offload(
	struct slu_reader *reader, const struct slu_node *node, void *target, const struct slu_field *f)
{
	static const struct slu_field fields[] = {
		{"enabled", slu_reader_bool, AT(slu_config_offload, enabled)},
		{"threshold_packets", slu_reader_u32, AT(slu_config_offload, threshold_packets), .min = 1,
			.max = 1000000},
	};

	(void)f;
	slu_reader_mapping(reader, node, target, fields, COUNT(fields));
}

#define TIMEOUT(name)                                                                                                  \
	{                                                                                                              \
#name "_s", slu_reader_u32, AT(slu_timeouts, name), .min = 1, .max = 86400                             \
	}

static void read_timeouts(
	struct slu_reader *reader, const struct slu_node *node, void *target, const struct slu_field *f)
{
	static const struct slu_field fields[] = {TIMEOUT(syn_recv), TIMEOUT(syn_sent), TIMEOUT(established),
		TIMEOUT(fin_wait), TIMEOUT(time_wait), TIMEOUT(close), TIMEOUT(close_wait), TIMEOUT(last_ack),
		TIMEOUT(udp)};

	(void)f;
	slu_reader_mapping(reader, node, target, fields, COUNT(fields));
}

static void read_listener(
	struct slu_reader *reader, const struct slu_node *node, void *target, const struct slu_field *f)
{
	static const struct slu_field fields[] = {
		{"name", slu_reader_name, AT(slu_config_listener, name), .required = true},
		{"address", slu_reader_address, AT(slu_config_listener, address), .required = true},
		{"protocol", read_protocol, AT(slu_config_listener, protocol), .required = true},
		{"ports", read_listener_ports, .required = true},
		{"mode", slu_reader_word, AT(slu_config_listener, mode), .words = listener_modes},
		{"client_address", slu_reader_word, AT(slu_config_listener, client_address),
			.words = slu_schema_client_addresses},
		{"vpc", slu_reader_u32, AT(slu_config_listener, vpc), .max = SLU_VPC_MAX},
		{"group", slu_reader_name, AT(slu_config_listener, group), .required = true},
		{"offload", read_offload, AT(slu_config_listener, offload)},
		{"max_sessions", slu_reader_u32, AT(slu_config_listener, max_sessions), .min = 1, .max = 1u << 28},
		{"timeouts", read_timeouts, AT(slu_config_listener, timeouts)},
	};
	struct slu_config_listener *listener = target;

	(void)f;
	listener->offload = offload_default;
	listener->timeouts = slu_schema_timeouts;
	slu_reader_mapping(reader, node, target, fields, COUNT(fields));
}

/* Outbound services. */

static void read_public_addresses(
	struct slu_reader *reader, const struct slu_node *node, void *target, const struct slu_field *f)
{
	struct address_list list = {.max = SLU_CONFIG_MAX_PUBLIC_ADDRESSES, .what = "addresses"};
	struct slu_config_outbound *snat = target;

	(void)f;
	slu_reader_sequence(reader, node, SLU_CONFIG_MAX_PUBLIC_ADDRESSES, read_range_of_addresses, &list);
	snat->addresses = list.addresses;
	if (slu_node_kind(node) == SLU_NODE_SEQUENCE && slu_node_count(node) == 0)
		slu_reader_refuse(reader, node, "at least one address is needed");
}

static void read_public_ports(
	struct slu_reader *reader, const struct slu_node *node, void *target, const struct slu_field *f)
{
	struct slu_config_outbound *snat = target;

	(void)f;
	read_range(reader, node, &snat->port_first, &snat->port_last, 1, 65535, "\"1024-65535\"");
}

static void set_outbound_defaults(struct slu_config_outbound *service)
{
	service->offload = offload_default;
	service->timeouts = slu_schema_timeouts;
	service->port_first = 1024;
	service->port_last = UINT16_MAX;
}

static void read_snat(struct slu_reader *reader, const struct slu_node *node, void *target, const struct slu_field *f)
{
	static const struct slu_field fields[] = {
		{"name", slu_reader_name, AT(slu_config_outbound, name), .required = true},
		{"sources", slu_reader_list, LIST(slu_config_outbound, sources, source_count, slu_schema_network),
			.max = SLU_CONFIG_MAX_SOURCES, .some = "prefix", .required = true},
		{"addresses", read_public_addresses, .required = true},
		{"ports", read_public_ports},
		{"vpc", slu_reader_u32, AT(slu_config_outbound, vpc), .max = SLU_VPC_MAX},
		{"offload", read_offload, AT(slu_config_outbound, offload)},
		{"timeouts", read_timeouts, AT(slu_config_outbound, timeouts)},
	};

	(void)f;
	set_outbound_defaults(target);
	slu_reader_mapping(reader, node, target, fields, COUNT(fields));
}

static void read_eip(struct slu_reader *reader, const struct slu_node *node, void *target, const struct slu_field *f)
{
	static const struct slu_field fields[] = {
		{"name", slu_reader_name, AT(slu_config_outbound, name), .required = true},
		{"public", slu_reader_address, AT(slu_config_outbound, public_ip), .required = true},
		{"private", slu_reader_address, AT(slu_config_outbound, private_ip), .required = true},
		{"vpc", slu_reader_u32, AT(slu_config_outbound, vpc), .max = SLU_VPC_MAX},
		{"offload", read_offload, AT(slu_config_outbound, offload)},
		{"timeouts", read_timeouts, AT(slu_config_outbound, timeouts)},
	};

	(void)f;
	set_outbound_defaults(target);
	slu_reader_mapping(reader, node, target, fields, COUNT(fields));
}

static void read_metering(
	struct slu_reader *reader, const struct slu_node *node, void *target, const struct slu_field *f)
{
	static const struct slu_field fields[] = {
		{"internal", slu_reader_list, LIST(slu_config, internal, internal_count, slu_schema_network),
			.max = SLU_CONFIG_MAX_INTERNAL},
	};

	(void)f;
	slu_reader_mapping(reader, node, target, fields, COUNT(fields));
}

/* What a document of a node and one of a whole cluster share. */
#define GROUPS slu_reader_list, LIST(slu_config, groups, group_count, read_group), .max = SLU_CONFIG_MAX_GROUPS
#define LISTENERS                                                                                                      \
	slu_reader_list, LIST(slu_config, listeners, listener_count, read_listener), .max = SLU_CONFIG_MAX_LISTENERS
#define SNATS slu_reader_list, LIST(slu_config, snats, snat_count, read_snat), .max = SLU_CONFIG_MAX_SNATS
#define EIPS slu_reader_list, LIST(slu_config, eips, eip_count, read_eip), .max = SLU_CONFIG_MAX_EIPS

void slu_schema_read(const struct slu_node *root, struct slu_config *config, struct slu_errors *errors)
{
	static const struct slu_field fields[] = {
		{"version", read_version, .required = true},
		{"node", slu_reader_name, AT(slu_config, node)},
		{"state_dir", slu_reader_path, AT(slu_config, state_dir), .min = 1, .max = 1024},
		{"api", slu_reader_path, AT(slu_config, api), .min = 1, .max = 107},
		{"workers", slu_reader_u32, AT(slu_config, workers), .min = 1, .max = 16},
		{"sessions", slu_reader_u64, AT(slu_config, sessions), .min = 1024, .max = 1u << 28},
		{"eal", slu_reader_list, LIST(slu_config, eal, eal_count, read_eal_argument), .max = 64},
		{"ports", slu_reader_list, LIST(slu_config, ports, port_count, read_port), .max = SLU_CONFIG_MAX_PORTS,
			.some = "port", .required = true},
		{"local_addresses", read_locals},
		{"groups", GROUPS},
		{"listeners", LISTENERS},
		{"snat", SNATS},
		{"eip", EIPS},
		{"metering", read_metering},
		{"cluster", slu_schema_cluster, AT(slu_config, cluster)},
	};
	struct slu_reader reader = {.errors = errors};

	strcpy(config->node, "sluice");
	config->state_dir = slu_memory_copy("/var/lib/sluice");
	config->api = slu_memory_copy("/run/sluice/api.sock");
	config->workers = 1;
	config->sessions = 1000000;
	slu_reader_mapping(&reader, root, config, fields, COUNT(fields));
}

void slu_schema_read_shared(const struct slu_node *root, struct slu_config *config, struct slu_errors *errors)
{
	static const struct slu_field fields[] = {
		{"version", read_version, .required = true},
		{"groups", GROUPS, .required = true},
		{"listeners", LISTENERS, .required = true},
		{"snat", SNATS},
		{"eip", EIPS},
		{"metering", read_metering},
	};
	struct slu_reader reader = {.errors = errors};

	slu_reader_mapping(&reader, root, config, fields, COUNT(fields));
}
