#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "host/config/config.h"
#include "host/config/memory.h"
#include "host/config/schema_parts.h"
#include "host/control/ip.h"
#include "sluice/sync_wire.h"

#define PREFIXES_MAX 16u /* of one member; all of 8 fit a cluster view */
#define ENDPOINTS_MAX 8u

static void read_id(struct slu_reader *reader, const struct slu_node *node, void *target, const struct slu_field *f)
{
	uint64_t value;

	if (slu_reader_number(reader, node, f->min, f->max, &value))
		*(uint8_t *)target = (uint8_t)value;
}

static void read_multicast(
	struct slu_reader *reader, const struct slu_node *node, void *target, const struct slu_field *f)
{
	static const struct slu_ip network = {4, {224}};
	const char *text = slu_reader_plain(reader, node);
	struct slu_ip ip;

	(void)f;
	if (text == NULL)
		return;
	if (slu_ip_parse(text, &ip) != 0 || !slu_ip_within(&ip, &network, 4))
		slu_reader_refuse(reader, node, "must be an IPv4 multicast address, as in 224.0.0.81");
	else
		*(struct slu_ip *)target = ip;
}

/* The sync protocol goes over IPv4 (whichever family the sessions are of). */
static void read_sync_address(
	struct slu_reader *reader, const struct slu_node *node, void *target, const struct slu_field *f)
{
	struct slu_ip ip = {0};

	slu_reader_address(reader, node, &ip, f);
	if (ip.family == 6)
		slu_reader_refuse(reader, node, "must be an IPv4 address: session sync goes over IPv4");
	else
		*(struct slu_ip *)target = ip;
}

struct trigger {
	int data; /* index into the words */
	uint32_t threshold, period;
};

static void read_trigger(
	struct slu_reader *reader, const struct slu_node *node, void *target, const struct slu_field *f)
{
	static const char *const kinds[] = {"packets", "data", NULL};
	static const struct slu_field fields[] = {
		{"kind", slu_reader_word, AT(trigger, data), .words = kinds, .required = true},
		{"threshold", slu_reader_u32, AT(trigger, threshold), .max = 1000},
		{"period", slu_reader_u32, AT(trigger, period), .min = 1, .max = 1000000},
	};
	struct slu_config_cluster *cluster = target;
	struct trigger read = {1, cluster->threshold, cluster->period};
	size_t before = reader->errors->count;

	(void)f;
	slu_reader_mapping(reader, node, &read, fields, COUNT(fields));
	if (reader->errors->count != before)
		return;
	if (read.data && slu_node_find(node, "period") != NULL)
		slu_reader_refuse(reader, slu_node_find(node, "period"), "key period is for kind packets only");
	else if (read.data && read.threshold == 0)
		slu_reader_refuse(reader, slu_node_find(node, "threshold"), "kind data needs at least one packet");
	else if (!read.data && read.threshold >= read.period)
		slu_reader_refuse(reader, node, "threshold %u must be below period %u: packets are counted modulo it",
			read.threshold, read.period);
	cluster->trigger_data = read.data;
	cluster->threshold = read.threshold;
	cluster->period = read.period;
}

static void read_member(struct slu_reader *reader, const struct slu_node *node, void *target, const struct slu_field *f)
{
	static const struct slu_field fields[] = {
		{"id", read_id, AT(slu_config_member, id), .min = 1, .max = 255, .required = true},
		{"name", slu_reader_name, AT(slu_config_member, name), .required = true},
		{"address", read_sync_address, AT(slu_config_member, address), .required = true},
		{"local_prefixes", slu_reader_list, LIST(slu_config_member, locals, local_count, slu_schema_network),
			.max = PREFIXES_MAX},
	};

	(void)f;
	slu_reader_mapping(reader, node, target, fields, COUNT(fields));
}

static void read_routes(struct slu_reader *reader, const struct slu_node *node, void *target, const struct slu_field *f)
{
	static const struct slu_field fields[] = {
		{"table", slu_reader_u32, AT(slu_config_cluster, route_table), .min = 1, .max = UINT32_MAX,
			.required = true},
	};
	struct slu_config_cluster *cluster = target;

	(void)f;
	slu_reader_mapping(reader, node, target, fields, COUNT(fields));
	if (cluster->route_table >= 253 && cluster->route_table <= 255)
		slu_reader_refuse(reader, slu_node_find(node, "table"),
			"table %u is one of the kernel's own (253..255), and the agent empties its table",
			cluster->route_table);
}

/* "http://198.18.9.100:2379": numeric, because looking up a name could block the control thread. */
static void read_endpoint(
	struct slu_reader *reader, const struct slu_node *node, void *target, const struct slu_field *f)
{
	static const char scheme[] = "http://";
	const char *text = slu_reader_plain(reader, node), *host, *colon;
	char address[SLU_IP_TEXT_BYTES + 2] = "";
	struct slu_ip ip;
	size_t bytes;
	int port = 0, end = 0;

	(void)f;
	if (text == NULL)
		return;
	host = strncmp(text, scheme, strlen(scheme)) == 0 ? text + strlen(scheme) : "";
	colon = strrchr(host, ':');
	bytes = colon != NULL ? (size_t)(colon - host) : 0;
	if (bytes > 0 && bytes < sizeof(address))
		memcpy(address, host, bytes);
	if (address[0] == '[' && address[bytes - 1] == ']') {
		memmove(address, address + 1, bytes);
		address[bytes - 2] = '\0';
	} else if (strchr(address, ':') != NULL) {
		address[0] = '\0';
	}
	if (slu_ip_parse(address, &ip) != 0 || sscanf(colon, ":%5d%n", &port, &end) != 1 || colon[end] != '\0' ||
		colon[1] < '1' || colon[1] > '9' || port > 65535) {
		slu_reader_refuse(reader, node,
			"must be an address and a port, as in http://198.18.9.100:2379 or http://[fd00:9::1]:2379");
		return;
	}
	*(char **)target = slu_memory_copy(text);
}

static void read_etcd_prefix(
	struct slu_reader *reader, const struct slu_node *node, void *target, const struct slu_field *f)
{
	const char *text = slu_reader_plain(reader, node);

	if (text != NULL && (strlen(text) < 2 || text[strlen(text) - 1] == '/' || strchr(text, ' ') != NULL))
		slu_reader_refuse(reader, node, "must begin with '/', not end with it, and have no blanks");
	else if (text != NULL)
		slu_reader_path(reader, node, target, f);
}

static void read_etcd(struct slu_reader *reader, const struct slu_node *node, void *target, const struct slu_field *f)
{
	static const struct slu_field fields[] = {
		{"endpoints", slu_reader_list, LIST(slu_config_cluster, etcd, etcd_count, read_endpoint),
			.max = ENDPOINTS_MAX, .some = "endpoint", .required = true},
		{"prefix", read_etcd_prefix, AT(slu_config_cluster, etcd_prefix), .min = 2, .max = 128},
		{"lease_ttl_s", slu_reader_u32, AT(slu_config_cluster, lease_ttl_s), .min = 2, .max = 3600},
	};

	(void)f;
	slu_reader_mapping(reader, node, target, fields, COUNT(fields));
}

void slu_schema_cluster(struct slu_reader *reader, const struct slu_node *node, void *target, const struct slu_field *f)
{
	static const struct slu_field fields[] = {
		{"id", read_id, AT(slu_config_cluster, id), .min = 1, .max = 255, .required = true},
		{"group", read_id, AT(slu_config_cluster, group), .max = 255},
		{"interface", slu_schema_interface, AT(slu_config_cluster, interface), .required = true},
		{"address", read_sync_address, AT(slu_config_cluster, address), .required = true},
		{"multicast", read_multicast, AT(slu_config_cluster, multicast)},
		{"port", slu_reader_u16, AT(slu_config_cluster, port), .min = 1, .max = 65535},
		{"key_file", slu_reader_path, AT(slu_config_cluster, key_file), .min = 2, .max = 1024},
		{"extensions", slu_reader_bool, AT(slu_config_cluster, extensions)},
		{"revision", read_id, AT(slu_config_cluster, revision), .min = 1, .max = SLU_SYNC_WIRE_REVISION},
		{"trigger", read_trigger},
		{"local_prefixes", slu_reader_list, LIST(slu_config_cluster, locals, local_count, slu_schema_network),
			.max = PREFIXES_MAX},
		{"routes", read_routes},
		{"members", slu_reader_list, LIST(slu_config_cluster, members, member_count, read_member),
			.max = SLU_CONFIG_MAX_MEMBERS},
		{"etcd", read_etcd},
	};
	struct slu_config_cluster *cluster = slu_memory_zeroed(1, sizeof(*cluster));

	(void)f;
	*cluster = (struct slu_config_cluster){.multicast = {4, {224, 0, 0, 81}},
		.port = 8848,
		.extensions = true,
		.revision = SLU_SYNC_WIRE_REVISION,
		.trigger_data = true,
		.threshold = 3,
		.period = 50,
		.etcd_prefix = slu_memory_copy("/sluice"),
		.lease_ttl_s = 3};
	*(struct slu_config_cluster **)target = cluster;
	slu_reader_mapping(reader, node, cluster, fields, COUNT(fields));
}
