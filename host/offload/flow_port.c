#include "host/offload/flow_port.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

#include <rte_errno.h>
#include <rte_ethdev.h>

/* A direction that resembles a real one; it is validated, never installed. */
static void fill_example(struct slu_offload_request *request, uint16_t port)
{
	static const uint8_t src[4] = {198, 18, 0, 1}, dst[4] = {198, 18, 0, 2};
	static const uint8_t new_src[4] = {198, 18, 0, 3}, new_dst[4] = {198, 18, 0, 4};

	memset(request, 0, sizeof(*request));
	request->family = 4;
	request->protocol = IPPROTO_TCP;
	memcpy(request->src, src, 4);
	memcpy(request->dst, dst, 4);
	memcpy(request->new_src, new_src, 4);
	memcpy(request->new_dst, new_dst, 4);
	request->sport = htons(1024);
	request->dport = htons(80);
	request->new_sport = htons(1025);
	request->new_dport = htons(8080);
	request->in_port = port;
	request->hop.port = port;
	request->hop.dst_mac[0] = request->hop.src_mac[0] = 2;
	request->hop.dst_mac[5] = 1;
	request->hop.src_mac[5] = 2;
}

static const struct rte_flow_indir_action_conf *indirect_conf(const struct slu_flow_port *port)
{
	static const struct rte_flow_indir_action_conf transfer = {.transfer = 1}, ingress = {.ingress = 1};

	return port->dialect.transfer ? &transfer : &ingress;
}

static struct rte_flow_action_handle *count_create(struct slu_flow_port *port)
{
	const struct rte_flow_action_count conf = {0};
	const struct rte_flow_action action = {.type = RTE_FLOW_ACTION_TYPE_COUNT, .conf = &conf};
	struct rte_flow_error error = {0};

	return rte_flow_action_handle_create(port->proxy, indirect_conf(port), &action, &error);
}

struct rte_flow_action_handle *slu_flow_port_mac_create(struct slu_flow_port *port, const uint8_t mac[6])
{
	struct rte_flow_action_set_mac conf;
	const struct rte_flow_action action = {.type = RTE_FLOW_ACTION_TYPE_SET_MAC_DST, .conf = &conf};
	struct rte_flow_error error = {0};

	if (!port->indirect_mac)
		return NULL;
	memcpy(conf.mac_addr, mac, sizeof(conf.mac_addr));
	return rte_flow_action_handle_create(port->proxy, indirect_conf(port), &action, &error);
}

int slu_flow_port_mac_update(struct slu_flow_port *port, struct rte_flow_action_handle *handle, const uint8_t mac[6])
{
	struct rte_flow_action_set_mac conf;
	const struct rte_flow_action action = {.type = RTE_FLOW_ACTION_TYPE_SET_MAC_DST, .conf = &conf};
	struct rte_flow_error error = {0};

	memcpy(conf.mac_addr, mac, sizeof(conf.mac_addr));
	return rte_flow_action_handle_update(port->proxy, handle, &action, &error);
}

void slu_flow_port_mac_destroy(struct slu_flow_port *port, struct rte_flow_action_handle *handle)
{
	struct rte_flow_error error = {0};

	if (handle)
		rte_flow_action_handle_destroy(port->proxy, handle, &error);
}

static bool accepts(struct slu_flow_port *port, const struct slu_offload_request *example,
	struct rte_flow_action_handle *count, struct rte_flow_action_handle *mac)
{
	struct rte_flow_error error = {0};
	struct slu_flow_rule rule;

	if (slu_flow_rule_build(&rule, &port->dialect, example) != 0)
		return false;
	if (count)
		slu_flow_rule_set_count(&rule, count);
	if (mac)
		slu_flow_rule_set_mac(&rule, mac);
	if (rte_flow_validate(port->proxy, &rule.attr, rule.items, rule.actions, &error) == 0)
		return true;
	snprintf(port->reason, sizeof(port->reason), "%s", error.message ? error.message : rte_strerror(rte_errno));
	return false;
}

static bool find_dialect(struct slu_flow_port *port, const struct slu_offload_request *example)
{
	for (int spelling = SLU_FLOW_MODERN; spelling <= SLU_FLOW_LEGACY; spelling++) {
		for (int transfer = 1; transfer >= 0; transfer--) {
			port->dialect.spelling = (enum slu_flow_spelling)spelling;
			port->dialect.transfer = transfer;
			if (accepts(port, example, NULL, NULL))
				return true;
		}
	}
	return false;
}

static void find_indirect(struct slu_flow_port *port, const struct slu_offload_request *example)
{
	struct rte_flow_action_handle *count = count_create(port), *mac;
	struct rte_flow_error error = {0};
	char kept[sizeof(port->reason)];

	memcpy(kept, port->reason, sizeof(kept));
	port->indirect_count = count && accepts(port, example, count, NULL);
	port->indirect_mac = true;
	mac = slu_flow_port_mac_create(port, example->hop.dst_mac);
	port->indirect_mac = mac && accepts(port, example, port->indirect_count ? count : NULL, mac);
	slu_flow_port_mac_destroy(port, mac);
	if (count)
		rte_flow_action_handle_destroy(port->proxy, count, &error);
	memcpy(port->reason, kept, sizeof(kept));
}

void slu_flow_port_open(struct slu_flow_port *port, uint16_t id)
{
	struct slu_offload_request example;
	struct rte_flow_error error = {0};

	memset(port, 0, sizeof(*port));
	port->id = id;
	if (rte_flow_pick_transfer_proxy(id, &port->proxy, &error) != 0)
		port->proxy = id;
	fill_example(&example, id);
	port->usable = find_dialect(port, &example);
	if (!port->usable)
		return;
	port->reason[0] = '\0';
	/* Ingress rules belong to the port that the packets enter. */
	if (!port->dialect.transfer)
		port->proxy = id;
	find_indirect(port, &example);
}

int slu_flow_port_create(struct slu_flow_port *port, struct slu_flow_rule *rule, struct rte_flow_action_handle *mac,
	struct slu_flow_handle *handle, struct rte_flow_error *error)
{
	struct rte_flow_error ignored = {0};
	int result;

	handle->count = NULL;
	if (port->indirect_count) {
		handle->count = count_create(port);
		if (!handle->count)
			return -ENOSPC;
		slu_flow_rule_set_count(rule, handle->count);
	}
	if (mac)
		slu_flow_rule_set_mac(rule, mac);
	handle->rule = rte_flow_create(port->proxy, &rule->attr, rule->items, rule->actions, error);
	if (handle->rule)
		return 0;
	result = rte_errno ? -rte_errno : -EIO;
	if (handle->count)
		rte_flow_action_handle_destroy(port->proxy, handle->count, &ignored);
	handle->count = NULL;
	return result;
}

static int query_count(struct slu_flow_port *port, struct rte_flow_action_handle *count, struct slu_flow_counts *counts)
{
	struct rte_flow_query_count data = {0};
	struct rte_flow_error error = {0};
	int result = rte_flow_action_handle_query(port->proxy, count, &data, &error);

	if (result != 0)
		return result;
	counts->packets = data.hits;
	counts->bytes = data.bytes;
	return 0;
}

int slu_flow_port_query(
	struct slu_flow_port *port, const struct slu_flow_handle *handle, struct slu_flow_counts *counts)
{
	static const struct rte_flow_action actions[] = {
		{.type = RTE_FLOW_ACTION_TYPE_COUNT}, {.type = RTE_FLOW_ACTION_TYPE_END}};
	struct rte_flow_query_count data = {0};
	struct rte_flow_error error = {0};
	int result;

	if (handle->count)
		return query_count(port, handle->count, counts);
	result = rte_flow_query(port->proxy, handle->rule, actions, &data, &error);
	if (result != 0)
		return result;
	counts->packets = data.hits;
	counts->bytes = data.bytes;
	return 0;
}

int slu_flow_port_destroy(struct slu_flow_port *port, struct slu_flow_handle *handle, struct slu_flow_counts *counts)
{
	struct rte_flow_error error = {0};
	int result;

	if (!handle->count)
		slu_flow_port_query(port, handle, counts);
	result = rte_flow_destroy(port->proxy, handle->rule, &error);
	handle->rule = NULL;
	if (handle->count) {
		query_count(port, handle->count, counts);
		rte_flow_action_handle_destroy(port->proxy, handle->count, &error);
		handle->count = NULL;
	}
	return result;
}
