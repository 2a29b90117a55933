#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "host/config/config.h"
#include "host/config/memory.h"
#include "host/config/schema.h"
#include "host/control/ip.h"

static void set_text(json_t *object, const char *key, const char *text)
{
	json_object_set_new(object, key, json_string(text));
}

static void set_number(json_t *object, const char *key, uint64_t value)
{
	json_object_set_new(object, key, json_integer((json_int_t)value));
}

static json_t *ip_text(const struct slu_ip *ip)
{
	char text[SLU_IP_TEXT_BYTES];

	return json_string(slu_ip_format(ip, text));
}

static json_t *prefix_list(const struct slu_config_prefix *prefixes, uint32_t count)
{
	json_t *list = json_array();

	for (uint32_t i = 0; i < count; i++) {
		char ip[SLU_IP_TEXT_BYTES];

		json_array_append_new(
			list, json_sprintf("%s/%u", slu_ip_format(&prefixes[i].ip, ip), prefixes[i].bits));
	}
	return list;
}

static json_t *port_object(const struct slu_config_port *port)
{
	json_t *object = json_object();

	set_text(object, "name", port->name);
	set_text(object, "device", port->device);
	set_number(object, "index", port->index);
	set_text(object, "tap", port->tap);
	set_number(object, "queues", port->queues);
	json_object_set_new(object, "addresses", prefix_list(port->addresses, port->address_count));
	return object;
}

/* A byte is the character of that number, as in the schema. */
static json_t *probe_text(const uint8_t *bytes, uint16_t count)
{
	char text[2 * SLU_CONFIG_PROBE_BYTES];
	size_t length = 0;

	for (uint16_t i = 0; i < count; i++) {
		if (bytes[i] >= 0x80)
			text[length++] = (char)(0xC0 | bytes[i] >> 6);
		text[length++] = (char)(bytes[i] < 0x80 ? bytes[i] : 0x80 | (bytes[i] & 0x3F));
	}
	return json_stringn(text, length);
}

/* YAML takes DEL only as an escape, and jansson does not write one. Takes `text`. */
static char *escape_del(char *text)
{
	size_t length = strlen(text), count = 0, at = 0;
	char *escaped;

	for (size_t i = 0; i < length; i++)
		count += text[i] == 0x7f;
	escaped = slu_memory_zeroed(length + 5 * count + 1, 1);
	for (size_t i = 0; i < length; i++) {
		if (text[i] != 0x7f)
			escaped[at++] = text[i];
		else
			at += (size_t)sprintf(escaped + at, "\\u007f");
	}
	free(text);
	return escaped;
}

/* Takes `root`. */
static char *text_of(json_t *root)
{
	char *text = json_dumps(root, JSON_COMPACT | JSON_ENSURE_ASCII);

	json_decref(root);
	return text != NULL ? escape_del(text) : NULL;
}

static json_t *check_object(const struct slu_config_check *check)
{
	json_t *object = json_object();

	set_text(object, "type", slu_schema_checks[check->type]);
	if (check->port != 0)
		set_number(object, "port", check->port);
	set_number(object, "interval_ms", check->interval_ms);
	set_number(object, "timeout_ms", check->timeout_ms);
	set_number(object, "rise", check->rise);
	set_number(object, "fall", check->fall);
	if (check->type == SLU_CHECK_HTTP) {
		set_text(object, "path", check->path);
		if (check->host != NULL)
			set_text(object, "host", check->host);
		json_object_set_new(object, "status", json_sprintf("%u-%u", check->status_first, check->status_last));
	}
	if (check->send_bytes != 0)
		json_object_set_new(object, "send", probe_text(check->send, check->send_bytes));
	if (check->expect_bytes != 0)
		json_object_set_new(object, "expect", probe_text(check->expect, check->expect_bytes));
	return object;
}

static json_t *group_object(const struct slu_config_group *group)
{
	json_t *object = json_object(), *backends = json_array();

	set_text(object, "name", group->name);
	set_text(object, "scheduler", slu_schema_schedulers[group->scheduler]);
	if (group->check.type != SLU_CHECK_NONE)
		json_object_set_new(object, "check", check_object(&group->check));
	for (uint32_t i = 0; i < group->backend_count; i++) {
		json_t *backend = json_object();

		set_text(backend, "name", group->backends[i].name);
		json_object_set_new(backend, "address", ip_text(&group->backends[i].address));
		set_number(backend, "port", group->backends[i].port);
		set_number(backend, "weight", group->backends[i].weight);
		json_array_append_new(backends, backend);
	}
	json_object_set_new(object, "backends", backends);
	return object;
}

static void set_timeout(json_t *object, const char *key, uint32_t value, uint32_t normal)
{
	if (value != normal)
		set_number(object, key, value);
}

/* Only what is not the default: there may be tens of thousands of listeners. */
static json_t *timeouts_object(const struct slu_timeouts *timeouts)
{
	const struct slu_timeouts *normal = &slu_schema_timeouts;
	json_t *object = json_object();

	set_timeout(object, "syn_recv_s", timeouts->syn_recv, normal->syn_recv);
	set_timeout(object, "syn_sent_s", timeouts->syn_sent, normal->syn_sent);
	set_timeout(object, "established_s", timeouts->established, normal->established);
	set_timeout(object, "fin_wait_s", timeouts->fin_wait, normal->fin_wait);
	set_timeout(object, "time_wait_s", timeouts->time_wait, normal->time_wait);
	set_timeout(object, "close_s", timeouts->close, normal->close);
	set_timeout(object, "close_wait_s", timeouts->close_wait, normal->close_wait);
	set_timeout(object, "last_ack_s", timeouts->last_ack, normal->last_ack);
	set_timeout(object, "udp_s", timeouts->udp, normal->udp);
	return object;
}

static json_t *offload_object(const struct slu_config_offload *offload)
{
	json_t *object = json_object();

	json_object_set_new(object, "enabled", json_boolean(offload->enabled));
	set_number(object, "threshold_packets", offload->threshold_packets);
	return object;
}

static json_t *listener_object(const struct slu_config_listener *listener)
{
	json_t *object = json_object();

	set_text(object, "name", listener->name);
	json_object_set_new(object, "address", ip_text(&listener->address));
	set_text(object, "protocol", listener->protocol == IPPROTO_TCP ? "tcp" : "udp");
	json_object_set_new(object, "ports", json_sprintf("%u-%u", listener->port_first, listener->port_last));
	set_text(object, "mode", slu_schema_modes[listener->mode]);
	if (listener->client_address != SLU_CLIENT_ADDRESS_NONE)
		set_text(object, "client_address", slu_schema_client_addresses[listener->client_address]);
	set_number(object, "vpc", listener->vpc);
	set_text(object, "group", listener->group);
	json_object_set_new(object, "offload", offload_object(&listener->offload));
	if (listener->max_sessions != 0)
		set_number(object, "max_sessions", listener->max_sessions);
	if (memcmp(&listener->timeouts, &slu_schema_timeouts, sizeof(slu_schema_timeouts)) != 0)
		json_object_set_new(object, "timeouts", timeouts_object(&listener->timeouts));
	return object;
}

static json_t *trigger_object(const struct slu_config_cluster *cluster)
{
	json_t *object = json_object();

	set_text(object, "kind", cluster->trigger_data ? "data" : "packets");
	set_number(object, "threshold", cluster->threshold);
	if (!cluster->trigger_data)
		set_number(object, "period", cluster->period);
	return object;
}

static json_t *members_list(const struct slu_config_cluster *cluster)
{
	json_t *list = json_array();

	for (uint32_t i = 0; i < cluster->member_count; i++) {
		const struct slu_config_member *member = &cluster->members[i];
		json_t *object = json_object();

		set_number(object, "id", member->id);
		set_text(object, "name", member->name);
		json_object_set_new(object, "address", ip_text(&member->address));
		json_object_set_new(object, "local_prefixes", prefix_list(member->locals, member->local_count));
		json_array_append_new(list, object);
	}
	return list;
}

static json_t *etcd_object(const struct slu_config_cluster *cluster)
{
	json_t *object = json_object(), *endpoints = json_array();

	for (uint32_t i = 0; i < cluster->etcd_count; i++)
		json_array_append_new(endpoints, json_string(cluster->etcd[i]));
	json_object_set_new(object, "endpoints", endpoints);
	set_text(object, "prefix", cluster->etcd_prefix);
	set_number(object, "lease_ttl_s", cluster->lease_ttl_s);
	return object;
}

static json_t *cluster_object(const struct slu_config_cluster *cluster)
{
	json_t *object = json_object();

	set_number(object, "id", cluster->id);
	set_number(object, "group", cluster->group);
	set_text(object, "interface", cluster->interface);
	json_object_set_new(object, "address", ip_text(&cluster->address));
	json_object_set_new(object, "multicast", ip_text(&cluster->multicast));
	set_number(object, "port", cluster->port);
	if (cluster->key_file != NULL)
		set_text(object, "key_file", cluster->key_file);
	json_object_set_new(object, "extensions", json_boolean(cluster->extensions));
	json_object_set_new(object, "revision", json_integer(cluster->revision));
	json_object_set_new(object, "trigger", trigger_object(cluster));
	json_object_set_new(object, "local_prefixes", prefix_list(cluster->locals, cluster->local_count));
	if (cluster->route_table != 0)
		json_object_set_new(object, "routes", json_pack("{s:I}", "table", (json_int_t)cluster->route_table));
	if (cluster->etcd_count > 0)
		json_object_set_new(object, "etcd", etcd_object(cluster));
	else
		json_object_set_new(object, "members", members_list(cluster));
	return object;
}

/* The keys that SNAT and EIP share. */
static json_t *outbound_object(const struct slu_config_outbound *service)
{
	json_t *object = json_object();

	set_text(object, "name", service->name);
	set_number(object, "vpc", service->vpc);
	json_object_set_new(object, "offload", offload_object(&service->offload));
	if (memcmp(&service->timeouts, &slu_schema_timeouts, sizeof(slu_schema_timeouts)) != 0)
		json_object_set_new(object, "timeouts", timeouts_object(&service->timeouts));
	return object;
}

static json_t *snat_object(const struct slu_config_outbound *snat)
{
	json_t *object = outbound_object(snat), *addresses = json_array();

	for (uint32_t i = 0; i < snat->addresses.count; i++)
		json_array_append_new(addresses, ip_text(&snat->addresses.ips[i]));
	json_object_set_new(object, "sources", prefix_list(snat->sources, snat->source_count));
	json_object_set_new(object, "addresses", addresses);
	json_object_set_new(object, "ports", json_sprintf("%u-%u", snat->port_first, snat->port_last));
	return object;
}

static json_t *eip_object(const struct slu_config_outbound *eip)
{
	json_t *object = outbound_object(eip);

	json_object_set_new(object, "public", ip_text(&eip->public_ip));
	json_object_set_new(object, "private", ip_text(&eip->private_ip));
	return object;
}

const char *const slu_config_kinds[SLU_CONFIG_KINDS] = {
	[SLU_CONFIG_GROUPS] = "groups",
	[SLU_CONFIG_LISTENERS] = "listeners",
	[SLU_CONFIG_SNATS] = "snat",
	[SLU_CONFIG_EIPS] = "eip",
	[SLU_CONFIG_METERING] = "metering",
};

uint32_t slu_config_part_count(const struct slu_config *config, enum slu_config_kind kind)
{
	const uint32_t counts[SLU_CONFIG_KINDS] = {
		[SLU_CONFIG_GROUPS] = config->group_count,
		[SLU_CONFIG_LISTENERS] = config->listener_count,
		[SLU_CONFIG_SNATS] = config->snat_count,
		[SLU_CONFIG_EIPS] = config->eip_count,
		[SLU_CONFIG_METERING] = config->internal_count > 0,
	};

	return counts[kind];
}

static json_t *part_object(const struct slu_config *config, enum slu_config_kind kind, uint32_t index)
{
	switch (kind) {
	case SLU_CONFIG_GROUPS:
		return group_object(&config->groups[index]);
	case SLU_CONFIG_LISTENERS:
		return listener_object(&config->listeners[index]);
	case SLU_CONFIG_SNATS:
		return snat_object(&config->snats[index]);
	case SLU_CONFIG_EIPS:
		return eip_object(&config->eips[index]);
	default:
		return json_pack("{s:o}", "internal", prefix_list(config->internal, config->internal_count));
	}
}

char *slu_config_dump_part(const struct slu_config *config, enum slu_config_kind kind, uint32_t index)
{
	return text_of(part_object(config, kind, index));
}

/* Everything that a cluster shares. */
static void add_parts(json_t *root, const struct slu_config *config)
{
	for (enum slu_config_kind kind = 0; kind < SLU_CONFIG_METERING; kind++) {
		json_t *list = json_array();

		for (uint32_t i = 0; i < slu_config_part_count(config, kind); i++)
			json_array_append_new(list, part_object(config, kind, i));
		json_object_set_new(root, slu_config_kinds[kind], list);
	}
	if (slu_config_part_count(config, SLU_CONFIG_METERING) > 0)
		json_object_set_new(
			root, slu_config_kinds[SLU_CONFIG_METERING], part_object(config, SLU_CONFIG_METERING, 0));
}

char *slu_config_dump(const struct slu_config *config)
{
	json_t *root = json_object(), *eal = json_array(), *ports = json_array(), *locals = json_array();

	set_number(root, "version", 1);
	set_text(root, "node", config->node);
	set_text(root, "state_dir", config->state_dir);
	set_text(root, "api", config->api);
	set_number(root, "workers", config->workers);
	set_number(root, "sessions", config->sessions);
	for (uint32_t i = 0; i < config->eal_count; i++)
		json_array_append_new(eal, json_string(config->eal[i]));
	for (uint32_t i = 0; i < config->port_count; i++)
		json_array_append_new(ports, port_object(&config->ports[i]));
	for (uint32_t i = 0; i < config->local_count; i++)
		json_array_append_new(locals, ip_text(&config->locals[i]));
	if (config->cluster != NULL)
		json_object_set_new(root, "cluster", cluster_object(config->cluster));
	json_object_set_new(root, "eal", eal);
	json_object_set_new(root, "ports", ports);
	json_object_set_new(root, "local_addresses", locals);
	add_parts(root, config);
	return text_of(root);
}

char *slu_config_dump_shared(const struct slu_config *config)
{
	json_t *root = json_object();

	set_number(root, "version", 1);
	add_parts(root, config);
	return text_of(root);
}
