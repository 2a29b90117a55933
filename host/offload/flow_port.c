#include "host/offload/flow_port.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

#include <rte_errno.h>
#include <rte_ethdev.h>

#define TABLE_FLOWS (1u << 20)
#define PULL_MAX 64

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

/* A table that takes the rules of one family and protocol: all actions are given with each rule. */
static struct rte_flow_template_table *make_table(struct slu_flow_port *port, const struct slu_offload_request *example,
	struct rte_flow_action_handle *count, struct rte_flow_action_handle *mac)
{
	const struct rte_flow_pattern_template_attr pattern_attr = {
		.relaxed_matching = 0, .transfer = port->dialect.transfer, .ingress = !port->dialect.transfer};
	const struct rte_flow_actions_template_attr actions_attr = {
		.transfer = port->dialect.transfer, .ingress = !port->dialect.transfer};
	struct rte_flow_template_table_attr table_attr = {.nb_flows = TABLE_FLOWS};
	struct rte_flow_pattern_template *pattern;
	struct rte_flow_actions_template *actions;
	struct rte_flow_action masks[SLU_FLOW_ACTIONS] = {0};
	struct rte_flow_template_table *table;
	struct rte_flow_error error = {0};
	struct slu_flow_rule rule;

	if (slu_flow_rule_build(&rule, &port->dialect, example) != 0)
		return NULL;
	if (count)
		slu_flow_rule_set_count(&rule, count);
	if (mac)
		slu_flow_rule_set_mac(&rule, mac);
	for (uint32_t i = 0; i < rule.action_count; i++)
		masks[i].type = rule.actions[i].type;
	table_attr.flow_attr = rule.attr;
	pattern = rte_flow_pattern_template_create(port->proxy, &pattern_attr, rule.items, &error);
	actions = pattern ? rte_flow_actions_template_create(port->proxy, &actions_attr, rule.actions, masks, &error)
			  : NULL;
	table = actions ? rte_flow_template_table_create(port->proxy, &table_attr, &pattern, 1, &actions, 1, &error)
			: NULL;
	if (!table && actions)
		rte_flow_actions_template_destroy(port->proxy, actions, &error);
	if (!table && pattern)
		rte_flow_pattern_template_destroy(port->proxy, pattern, &error);
	return table;
}

static void make_tables(struct slu_flow_port *port, struct slu_offload_request *example)
{
	struct rte_flow_action_handle *count = port->indirect_count ? count_create(port) : NULL;
	struct rte_flow_action_handle *mac = slu_flow_port_mac_create(port, example->hop.dst_mac);
	struct rte_flow_error error = {0};

	port->async = port->indirect_count == (count != NULL) && port->indirect_mac == (mac != NULL);
	for (int ipv6 = 0; ipv6 < 2; ipv6++) {
		for (int udp = 0; udp < 2 && port->async; udp++) {
			example->family = ipv6 ? 6 : 4;
			example->protocol = udp ? IPPROTO_UDP : IPPROTO_TCP;
			port->tables[ipv6][udp] = make_table(port, example, count, mac);
			port->async &= port->tables[ipv6][udp] != NULL;
		}
	}
	slu_flow_port_mac_destroy(port, mac);
	if (count)
		rte_flow_action_handle_destroy(port->proxy, count, &error);
}

void slu_flow_port_prepare(uint16_t id)
{
	const struct rte_flow_queue_attr queue = {.size = SLU_FLOW_QUEUE};
	const struct rte_flow_queue_attr *queues[] = {&queue};
	struct rte_flow_port_attr attr = {0};
	struct rte_flow_port_info info = {0};
	struct rte_flow_queue_info queue_info = {0};
	struct rte_flow_error error = {0};

	if (rte_flow_info_get(id, &info, &queue_info, &error) != 0 || info.max_nb_queues == 0 ||
		queue_info.max_size < SLU_FLOW_QUEUE)
		return;
	attr.nb_counters = info.max_nb_counters;
	rte_flow_configure(id, &attr, 1, queues, &error);
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
	make_tables(port, &example);
}

/* Gives the rule its counter and next hop. */
static int complete_rule(struct slu_flow_port *port, struct slu_flow_rule *rule, struct rte_flow_action_handle *mac,
	struct slu_flow_handle *handle)
{
	memset(handle, 0, sizeof(*handle));
	if (port->indirect_count) {
		handle->count = count_create(port);
		if (!handle->count)
			return -ENOSPC;
		slu_flow_rule_set_count(rule, handle->count);
	}
	if (mac)
		slu_flow_rule_set_mac(rule, mac);
	return 0;
}

static void drop_count(struct slu_flow_port *port, struct slu_flow_handle *handle)
{
	struct rte_flow_error error = {0};

	if (handle->count)
		rte_flow_action_handle_destroy(port->proxy, handle->count, &error);
	handle->count = NULL;
}

int slu_flow_port_create(struct slu_flow_port *port, struct slu_flow_rule *rule, struct rte_flow_action_handle *mac,
	struct slu_flow_handle *handle, struct rte_flow_error *error)
{
	int result = complete_rule(port, rule, mac, handle);

	if (result)
		return result;
	rte_errno = 0;
	handle->rule = rte_flow_create(port->proxy, &rule->attr, rule->items, rule->actions, error);
	if (handle->rule)
		return 0;
	result = rte_errno ? -rte_errno : -EIO;
	drop_count(port, handle);
	return result;
}

int slu_flow_port_queue_create(struct slu_flow_port *port, struct slu_flow_rule *rule,
	struct rte_flow_action_handle *mac, struct slu_flow_handle *handle, void *user, struct rte_flow_error *error)
{
	const struct rte_flow_op_attr attr = {.postpone = 1};
	bool ipv6 = rule->items[1].type == RTE_FLOW_ITEM_TYPE_IPV6, udp = rule->items[2].type == RTE_FLOW_ITEM_TYPE_UDP;
	int result;

	/* The table's rules have the shared next hop; one without fits no template. */
	if (port->indirect_mac && !mac)
		return -ENOSPC;
	result = complete_rule(port, rule, mac, handle);
	if (result)
		return result;
	rte_errno = 0;
	handle->async = true;
	handle->rule = rte_flow_async_create(
		port->proxy, 0, &attr, port->tables[ipv6][udp], rule->items, 0, rule->actions, 0, user, error);
	if (handle->rule) {
		port->in_flight++;
		return -EINPROGRESS;
	}
	result = rte_errno ? -rte_errno : -EIO;
	drop_count(port, handle);
	return result;
}

int slu_flow_port_queue_destroy(struct slu_flow_port *port, struct slu_flow_handle *handle, void *user)
{
	const struct rte_flow_op_attr attr = {.postpone = 1};
	struct rte_flow_error error = {0};
	int result = rte_flow_async_destroy(port->proxy, 0, &attr, handle->rule, user, &error);

	if (result != 0)
		return result;
	port->in_flight++;
	return -EINPROGRESS;
}

void slu_flow_port_push(struct slu_flow_port *port)
{
	struct rte_flow_error error = {0};

	if (port->async && port->in_flight)
		rte_flow_push(port->proxy, 0, &error);
}

uint32_t slu_flow_port_pull(struct slu_flow_port *port, struct slu_flow_result *results, uint32_t count)
{
	struct rte_flow_op_result pulled[PULL_MAX];
	struct rte_flow_error error = {0};
	int got;

	if (!port->async || port->in_flight == 0)
		return 0;
	got = rte_flow_pull(port->proxy, 0, pulled, (uint16_t)(count < PULL_MAX ? count : PULL_MAX), &error);
	for (int i = 0; i < got; i++)
		results[i] = (struct slu_flow_result){
			.user = pulled[i].user_data, .ok = pulled[i].status == RTE_FLOW_OP_SUCCESS};
	if (got <= 0)
		return 0;
	port->in_flight -= (uint32_t)got;
	return (uint32_t)got;
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

void slu_flow_port_finish(struct slu_flow_port *port, struct slu_flow_handle *handle, struct slu_flow_counts *counts)
{
	if (handle->count)
		query_count(port, handle->count, counts);
	drop_count(port, handle);
}

int slu_flow_port_destroy(struct slu_flow_port *port, struct slu_flow_handle *handle, struct slu_flow_counts *counts)
{
	struct rte_flow_error error = {0};
	int result;

	if (!handle->count)
		slu_flow_port_query(port, handle, counts);
	result = rte_flow_destroy(port->proxy, handle->rule, &error);
	handle->rule = NULL;
	slu_flow_port_finish(port, handle, counts);
	return result;
}
