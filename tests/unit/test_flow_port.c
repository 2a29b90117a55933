/*
 * Rules of the offload engine against a recorder that stands for rte_flow: the
 * agent's own code decides, builds and counts; the recorder keeps what it was
 * asked for and answers as different cards would.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <arpa/inet.h>
#include <cmocka.h>
#include <rte_errno.h>

#include "host/offload/flow_port.h"

/* What the recorded card can do, and what it was asked. */
static struct {
	bool modern, legacy, transfer, ingress, indirect_count, indirect_mac;
	int create_error;
	uint32_t validated, created, destroyed, handles;
	bool rule_lives;
	uint64_t packets; /* of the one counter */
	uint64_t late;    /* packets that are counted while the rule is being destroyed */
	enum rte_flow_action_type types[16];
	enum rte_flow_field_id fields[16];
	uint32_t types_count;
	struct rte_flow_attr attr;
	uint8_t updated_mac[6];
	/* Queued operations */
	uint32_t queues; /* that the driver offers */
	bool templates;  /* it takes our templates */
	uint32_t tables; /* made */
	uint32_t pushed, queued;
	void *users[8];
	bool fails; /* what is queued fails in the card */
} card;

struct rte_flow_action_handle {
	enum rte_flow_action_type type;
};

static bool has(const struct rte_flow_action *actions, enum rte_flow_action_type type)
{
	for (; actions->type != RTE_FLOW_ACTION_TYPE_END; actions++) {
		if (actions->type == type)
			return true;
	}
	return false;
}

static int refuse(struct rte_flow_error *error, int code)
{
	error->message = "recorder refuses";
	rte_errno = code;
	return -code;
}

int rte_flow_validate(uint16_t port, const struct rte_flow_attr *attr, const struct rte_flow_item *pattern,
	const struct rte_flow_action *actions, struct rte_flow_error *error)
{
	(void)port;
	(void)pattern;
	card.validated++;
	if (attr->transfer ? !card.transfer : !card.ingress)
		return refuse(error, ENOTSUP);
	if (has(actions, RTE_FLOW_ACTION_TYPE_MODIFY_FIELD) ? !card.modern : !card.legacy)
		return refuse(error, ENOTSUP);
	for (const struct rte_flow_action *a = actions; a->type != RTE_FLOW_ACTION_TYPE_END; a++) {
		if (a->type != RTE_FLOW_ACTION_TYPE_INDIRECT)
			continue;
		const struct rte_flow_action_handle *handle = a->conf;
		if (handle->type == RTE_FLOW_ACTION_TYPE_COUNT ? !card.indirect_count : !card.indirect_mac)
			return refuse(error, ENOTSUP);
	}
	return 0;
}

struct rte_flow *rte_flow_create(uint16_t port, const struct rte_flow_attr *attr, const struct rte_flow_item pattern[],
	const struct rte_flow_action actions[], struct rte_flow_error *error)
{
	(void)port;
	(void)pattern;
	if (card.create_error) {
		refuse(error, card.create_error);
		return NULL;
	}
	card.attr = *attr;
	card.types_count = 0;
	for (const struct rte_flow_action *a = actions; a->type != RTE_FLOW_ACTION_TYPE_END; a++) {
		const struct rte_flow_action_modify_field *modify = a->conf;

		card.fields[card.types_count] =
			a->type == RTE_FLOW_ACTION_TYPE_MODIFY_FIELD ? modify->dst.field : RTE_FLOW_FIELD_START;
		card.types[card.types_count++] = a->type;
	}
	card.created++;
	card.rule_lives = true;
	return (struct rte_flow *)&card;
}

int rte_flow_destroy(uint16_t port, struct rte_flow *flow, struct rte_flow_error *error)
{
	(void)port;
	(void)flow;
	(void)error;
	card.packets += card.late;
	card.rule_lives = false;
	card.destroyed++;
	return 0;
}

static int answer(void *data)
{
	struct rte_flow_query_count *count = data;

	count->hits = card.packets;
	count->bytes = card.packets * 100;
	return 0;
}

int rte_flow_query(uint16_t port, struct rte_flow *flow, const struct rte_flow_action *action, void *data,
	struct rte_flow_error *error)
{
	(void)port;
	(void)flow;
	assert_int_equal(action->type, RTE_FLOW_ACTION_TYPE_COUNT);
	return card.rule_lives ? answer(data) : refuse(error, ENOENT);
}

struct rte_flow_action_handle *rte_flow_action_handle_create(uint16_t port,
	const struct rte_flow_indir_action_conf *conf, const struct rte_flow_action *action,
	struct rte_flow_error *error)
{
	struct rte_flow_action_handle *handle;

	(void)port;
	(void)conf;
	if (action->type == RTE_FLOW_ACTION_TYPE_COUNT ? !card.indirect_count : !card.indirect_mac) {
		refuse(error, ENOTSUP);
		return NULL;
	}
	handle = calloc(1, sizeof(*handle));
	handle->type = action->type;
	card.handles++;
	return handle;
}

int rte_flow_action_handle_destroy(uint16_t port, struct rte_flow_action_handle *handle, struct rte_flow_error *error)
{
	(void)port;
	(void)error;
	card.handles--;
	free(handle);
	return 0;
}

int rte_flow_action_handle_update(
	uint16_t port, struct rte_flow_action_handle *handle, const void *update, struct rte_flow_error *error)
{
	const struct rte_flow_action *action = update;

	(void)port;
	(void)error;
	assert_int_equal(handle->type, action->type);
	memcpy(card.updated_mac, ((const struct rte_flow_action_set_mac *)action->conf)->mac_addr, 6);
	return 0;
}

int rte_flow_action_handle_query(
	uint16_t port, const struct rte_flow_action_handle *handle, void *data, struct rte_flow_error *error)
{
	(void)port;
	(void)error;
	assert_int_equal(handle->type, RTE_FLOW_ACTION_TYPE_COUNT);
	return answer(data);
}

int rte_flow_pick_transfer_proxy(uint16_t port, uint16_t *proxy, struct rte_flow_error *error)
{
	(void)error;
	*proxy = (uint16_t)(port + 10);
	return 0;
}

int rte_flow_info_get(
	uint16_t port, struct rte_flow_port_info *info, struct rte_flow_queue_info *queue, struct rte_flow_error *error)
{
	(void)port;
	(void)error;
	info->max_nb_queues = card.queues;
	queue->max_size = SLU_FLOW_QUEUE;
	return 0;
}

int rte_flow_configure(uint16_t port, const struct rte_flow_port_attr *attr, uint16_t queues,
	const struct rte_flow_queue_attr *queue_attr[], struct rte_flow_error *error)
{
	(void)port;
	(void)attr;
	(void)error;
	assert_int_equal(queues, 1);
	assert_int_equal(queue_attr[0]->size, SLU_FLOW_QUEUE);
	return 0;
}

struct rte_flow_pattern_template *rte_flow_pattern_template_create(uint16_t port,
	const struct rte_flow_pattern_template_attr *attr, const struct rte_flow_item pattern[],
	struct rte_flow_error *error)
{
	(void)port;
	(void)attr;
	(void)pattern;
	(void)error;
	return card.templates ? (struct rte_flow_pattern_template *)&card : NULL;
}

int rte_flow_pattern_template_destroy(
	uint16_t port, struct rte_flow_pattern_template *pattern, struct rte_flow_error *error)
{
	(void)port;
	(void)pattern;
	(void)error;
	return 0;
}

struct rte_flow_actions_template *rte_flow_actions_template_create(uint16_t port,
	const struct rte_flow_actions_template_attr *attr, const struct rte_flow_action actions[],
	const struct rte_flow_action masks[], struct rte_flow_error *error)
{
	(void)port;
	(void)attr;
	(void)error;
	for (uint32_t i = 0; actions[i].type != RTE_FLOW_ACTION_TYPE_END; i++)
		assert_int_equal(actions[i].type, masks[i].type);
	return (struct rte_flow_actions_template *)&card;
}

int rte_flow_actions_template_destroy(
	uint16_t port, struct rte_flow_actions_template *actions, struct rte_flow_error *error)
{
	(void)port;
	(void)actions;
	(void)error;
	return 0;
}

struct rte_flow_template_table *rte_flow_template_table_create(uint16_t port,
	const struct rte_flow_template_table_attr *attr, struct rte_flow_pattern_template *patterns[],
	uint8_t pattern_count, struct rte_flow_actions_template *actions[], uint8_t actions_count,
	struct rte_flow_error *error)
{
	(void)port;
	(void)attr;
	(void)patterns;
	(void)pattern_count;
	(void)actions;
	(void)actions_count;
	(void)error;
	card.tables++;
	return (struct rte_flow_template_table *)&card;
}

struct rte_flow *rte_flow_async_create(uint16_t port, uint32_t queue, const struct rte_flow_op_attr *attr,
	struct rte_flow_template_table *table, const struct rte_flow_item pattern[], uint8_t pattern_index,
	const struct rte_flow_action actions[], uint8_t actions_index, void *user, struct rte_flow_error *error)
{
	static const struct rte_flow_attr none;

	(void)queue;
	(void)attr;
	(void)table;
	(void)pattern_index;
	(void)actions_index;
	if (!rte_flow_create(port, &none, pattern, actions, error))
		return NULL;
	card.users[card.queued++] = user;
	return (struct rte_flow *)&card;
}

int rte_flow_async_destroy(uint16_t port, uint32_t queue, const struct rte_flow_op_attr *attr, struct rte_flow *flow,
	void *user, struct rte_flow_error *error)
{
	(void)queue;
	(void)attr;
	card.users[card.queued++] = user;
	return rte_flow_destroy(port, flow, error);
}

int rte_flow_push(uint16_t port, uint32_t queue, struct rte_flow_error *error)
{
	(void)port;
	(void)queue;
	(void)error;
	card.pushed = card.queued;
	return 0;
}

int rte_flow_pull(uint16_t port, uint32_t queue, struct rte_flow_op_result results[], uint16_t count,
	struct rte_flow_error *error)
{
	int got = 0;

	(void)port;
	(void)queue;
	(void)error;
	while (got < count && card.pushed > 0) {
		results[got].status = card.fails ? RTE_FLOW_OP_ERROR : RTE_FLOW_OP_SUCCESS;
		results[got++].user_data = card.users[0];
		memmove(card.users, card.users + 1, sizeof(card.users) - sizeof(card.users[0]));
		card.pushed--;
		card.queued--;
	}
	return got;
}

static int setup(void **state)
{
	(void)state;
	memset(&card, 0, sizeof(card));
	card.modern = card.legacy = card.transfer = card.ingress = card.indirect_count = card.indirect_mac = true;
	return 0;
}

static struct slu_offload_request request(uint8_t family, uint8_t protocol)
{
	struct slu_offload_request r = {.session = 1,
		.family = family,
		.protocol = protocol,
		.sport = htons(40000),
		.dport = htons(80),
		.new_sport = htons(1025),
		.new_dport = htons(8080),
		.hop = {.port = 3, .dst_mac = {2, 0, 0, 0, 0, 1}, .src_mac = {2, 0, 0, 0, 0, 2}}};

	for (uint8_t i = 0; i < (family == 4 ? 4 : 16); i++) {
		r.src[i] = (uint8_t)(0x10 + i);
		r.dst[i] = (uint8_t)(0x20 + i);
		r.new_src[i] = (uint8_t)(0x30 + i);
		r.new_dst[i] = (uint8_t)(0x40 + i);
	}
	return r;
}

static const struct slu_flow_dialect modern = {.spelling = SLU_FLOW_MODERN, .transfer = true};
static const struct slu_flow_dialect legacy = {.spelling = SLU_FLOW_LEGACY, .transfer = false};

static const struct rte_flow_action_modify_field *modify_of(
	const struct slu_flow_rule *rule, enum rte_flow_field_id field)
{
	for (uint32_t i = 0; i < rule->action_count; i++) {
		const struct rte_flow_action_modify_field *modify = rule->actions[i].conf;

		if (rule->actions[i].type == RTE_FLOW_ACTION_TYPE_MODIFY_FIELD && modify->dst.field == field)
			return modify;
	}
	return NULL;
}

static void the_pattern_is_exact_unfragmented_and_without_end_flags(void **state)
{
	struct slu_offload_request r = request(4, 6);
	struct slu_flow_rule rule;
	const struct rte_flow_item_ipv4 *ip, *ip_mask;
	const struct rte_flow_item_tcp *tcp, *tcp_mask;

	(void)state;
	assert_int_equal(slu_flow_rule_build(&rule, &modern, &r), 0);
	assert_int_equal(rule.attr.transfer, 1);
	assert_int_equal(rule.attr.ingress, 0);
	assert_int_equal(rule.items[0].type, RTE_FLOW_ITEM_TYPE_ETH);
	assert_int_equal(rule.items[1].type, RTE_FLOW_ITEM_TYPE_IPV4);
	assert_int_equal(rule.items[2].type, RTE_FLOW_ITEM_TYPE_TCP);
	assert_int_equal(rule.items[3].type, RTE_FLOW_ITEM_TYPE_END);
	ip = rule.items[1].spec;
	ip_mask = rule.items[1].mask;
	assert_memory_equal(&ip->hdr.src_addr, r.src, 4);
	assert_memory_equal(&ip->hdr.dst_addr, r.dst, 4);
	assert_int_equal(ip_mask->hdr.src_addr, UINT32_MAX);
	assert_int_equal(ip_mask->hdr.dst_addr, UINT32_MAX);
	assert_int_equal(ip_mask->hdr.fragment_offset, htons(0x3fff));
	assert_int_equal(ip->hdr.fragment_offset, 0);
	tcp = rule.items[2].spec;
	tcp_mask = rule.items[2].mask;
	assert_int_equal(tcp->hdr.src_port, htons(40000));
	assert_int_equal(tcp->hdr.dst_port, htons(80));
	assert_int_equal(tcp_mask->hdr.tcp_flags, 0x07);
	assert_int_equal(tcp->hdr.tcp_flags, 0);
}

static void modern_actions_set_every_field_and_end_at_the_represented_port(void **state)
{
	struct slu_offload_request r = request(4, 6);
	struct slu_flow_rule rule;
	const struct rte_flow_action_modify_field *ttl;
	const struct rte_flow_action *fate;

	(void)state;
	assert_int_equal(slu_flow_rule_build(&rule, &modern, &r), 0);
	assert_memory_equal(modify_of(&rule, RTE_FLOW_FIELD_IPV4_SRC)->src.value, r.new_src, 4);
	assert_memory_equal(modify_of(&rule, RTE_FLOW_FIELD_IPV4_DST)->src.value, r.new_dst, 4);
	assert_int_equal(modify_of(&rule, RTE_FLOW_FIELD_IPV4_DST)->width, 32);
	assert_memory_equal(modify_of(&rule, RTE_FLOW_FIELD_TCP_PORT_SRC)->src.value, &r.new_sport, 2);
	assert_memory_equal(modify_of(&rule, RTE_FLOW_FIELD_TCP_PORT_DST)->src.value, &r.new_dport, 2);
	assert_memory_equal(modify_of(&rule, RTE_FLOW_FIELD_MAC_DST)->src.value, r.hop.dst_mac, 6);
	assert_memory_equal(modify_of(&rule, RTE_FLOW_FIELD_MAC_SRC)->src.value, r.hop.src_mac, 6);
	ttl = modify_of(&rule, RTE_FLOW_FIELD_IPV4_TTL);
	assert_int_equal(ttl->operation, RTE_FLOW_MODIFY_SUB);
	assert_int_equal(ttl->src.value[0], 1);
	assert_int_equal(ttl->width, 8);
	assert_int_equal(rule.actions[rule.count_action].type, RTE_FLOW_ACTION_TYPE_COUNT);
	fate = &rule.actions[rule.action_count - 2];
	assert_int_equal(fate->type, RTE_FLOW_ACTION_TYPE_REPRESENTED_PORT);
	assert_int_equal(((const struct rte_flow_action_ethdev *)fate->conf)->port_id, 3);
	assert_int_equal(rule.actions[rule.action_count - 1].type, RTE_FLOW_ACTION_TYPE_END);
}

static void ipv6_and_udp_name_their_own_fields(void **state)
{
	struct slu_offload_request r = request(6, 17);
	struct slu_flow_rule rule;

	(void)state;
	assert_int_equal(slu_flow_rule_build(&rule, &modern, &r), 0);
	assert_int_equal(rule.items[1].type, RTE_FLOW_ITEM_TYPE_IPV6);
	assert_int_equal(rule.items[2].type, RTE_FLOW_ITEM_TYPE_UDP);
	assert_memory_equal(((const struct rte_flow_item_ipv6 *)rule.items[1].spec)->hdr.dst_addr, r.dst, 16);
	assert_int_equal(((const struct rte_flow_item_ipv6 *)rule.items[1].mask)->has_frag_ext, 1);
	assert_memory_equal(modify_of(&rule, RTE_FLOW_FIELD_IPV6_SRC)->src.value, r.new_src, 16);
	assert_int_equal(modify_of(&rule, RTE_FLOW_FIELD_IPV6_SRC)->width, 128);
	assert_memory_equal(modify_of(&rule, RTE_FLOW_FIELD_UDP_PORT_DST)->src.value, &r.new_dport, 2);
	assert_non_null(modify_of(&rule, RTE_FLOW_FIELD_IPV6_HOPLIMIT));
	assert_null(modify_of(&rule, RTE_FLOW_FIELD_IPV4_SRC));
	assert_null(modify_of(&rule, RTE_FLOW_FIELD_TCP_PORT_SRC));
}

static void legacy_actions_say_the_same_in_old_words(void **state)
{
	static const enum rte_flow_action_type expected[] = {RTE_FLOW_ACTION_TYPE_SET_MAC_SRC,
		RTE_FLOW_ACTION_TYPE_SET_MAC_DST, RTE_FLOW_ACTION_TYPE_SET_IPV4_SRC, RTE_FLOW_ACTION_TYPE_SET_IPV4_DST,
		RTE_FLOW_ACTION_TYPE_SET_TP_SRC, RTE_FLOW_ACTION_TYPE_SET_TP_DST, RTE_FLOW_ACTION_TYPE_DEC_TTL,
		RTE_FLOW_ACTION_TYPE_COUNT, RTE_FLOW_ACTION_TYPE_PORT_ID, RTE_FLOW_ACTION_TYPE_END};
	struct slu_offload_request r = request(4, 6);
	struct slu_flow_rule rule;

	(void)state;
	assert_int_equal(slu_flow_rule_build(&rule, &legacy, &r), 0);
	assert_int_equal(rule.attr.ingress, 1);
	assert_int_equal(rule.action_count, sizeof(expected) / sizeof(expected[0]));
	for (uint32_t i = 0; i < rule.action_count; i++)
		assert_int_equal(rule.actions[i].type, expected[i]);
	assert_memory_equal(&((const struct rte_flow_action_set_ipv4 *)rule.actions[3].conf)->ipv4_addr, r.new_dst, 4);
	assert_int_equal(((const struct rte_flow_action_set_tp *)rule.actions[5].conf)->port, htons(8080));
	assert_int_equal(((const struct rte_flow_action_port_id *)rule.actions[8].conf)->id, 3);
}

static void what_no_rule_can_say_is_refused(void **state)
{
	struct slu_flow_rule rule;
	struct slu_offload_request r = request(4, 132);

	(void)state;
	assert_int_equal(slu_flow_rule_build(&rule, &modern, &r), -ENOTSUP);
	r = request(5, 6);
	assert_int_equal(slu_flow_rule_build(&rule, &modern, &r), -ENOTSUP);
	r = request(4, 6);
	r.vpc = 7;
	assert_int_equal(slu_flow_rule_build(&rule, &modern, &r), -ENOTSUP);
	r = request(4, 6);
	r.hop.vlan_tci = 5;
	assert_int_equal(slu_flow_rule_build(&rule, &modern, &r), -ENOTSUP);
}

/* What a card can do -> what is chosen. */
static void the_modern_spelling_and_transfer_are_tried_first(void **state)
{
	static const struct {
		bool modern, legacy, transfer, ingress, usable;
		enum slu_flow_spelling spelling;
		bool chosen_transfer;
	} rows[] = {{true, true, true, true, true, SLU_FLOW_MODERN, true},
		{true, true, false, true, true, SLU_FLOW_MODERN, false},
		{false, true, true, true, true, SLU_FLOW_LEGACY, true},
		{false, true, false, true, true, SLU_FLOW_LEGACY, false}, {false, false, true, true, false, 0, false},
		{true, true, false, false, false, 0, false}};
	struct slu_flow_port port;

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		setup(state);
		card.modern = rows[i].modern;
		card.legacy = rows[i].legacy;
		card.transfer = rows[i].transfer;
		card.ingress = rows[i].ingress;
		slu_flow_port_open(&port, 1);
		assert_int_equal(port.usable, rows[i].usable);
		assert_int_equal(card.handles, 0);
		if (!rows[i].usable) {
			assert_string_equal(port.reason, "recorder refuses");
			continue;
		}
		assert_int_equal(port.dialect.spelling, rows[i].spelling);
		assert_int_equal(port.dialect.transfer, rows[i].chosen_transfer);
		assert_int_equal(port.proxy, rows[i].chosen_transfer ? 11 : 1);
	}
}

static void indirect_actions_are_used_only_where_rules_take_them(void **state)
{
	struct slu_flow_port port;

	(void)state;
	slu_flow_port_open(&port, 1);
	assert_true(port.indirect_count && port.indirect_mac);
	card.indirect_mac = false;
	slu_flow_port_open(&port, 1);
	assert_true(port.indirect_count && !port.indirect_mac);
	card.indirect_count = false;
	slu_flow_port_open(&port, 1);
	assert_false(port.indirect_count || port.indirect_mac);
	assert_int_equal(card.handles, 0);
}

static void packets_counted_while_a_rule_dies_are_not_lost(void **state)
{
	struct slu_offload_request r = request(4, 6);
	struct slu_flow_handle handle;
	struct slu_flow_counts counts = {0};
	struct rte_flow_error error = {0};
	struct slu_flow_port port;
	struct slu_flow_rule rule;

	(void)state;
	slu_flow_port_open(&port, 1);
	slu_flow_rule_build(&rule, &port.dialect, &r);
	assert_int_equal(slu_flow_port_create(&port, &rule, NULL, &handle, &error), 0);
	card.packets = 40;
	card.late = 2;
	assert_int_equal(slu_flow_port_query(&port, &handle, &counts), 0);
	assert_int_equal(counts.packets, 40);
	assert_int_equal(slu_flow_port_destroy(&port, &handle, &counts), 0);
	assert_int_equal(counts.packets, 42);
	assert_int_equal(counts.bytes, 4200);
	assert_int_equal(card.handles, 0);
	assert_int_equal(card.destroyed, 1);
}

static void a_refused_rule_leaves_no_counter_behind(void **state)
{
	struct slu_offload_request r = request(4, 6);
	struct slu_flow_handle handle;
	struct rte_flow_error error = {0};
	struct slu_flow_port port;
	struct slu_flow_rule rule;

	(void)state;
	slu_flow_port_open(&port, 1);
	slu_flow_rule_build(&rule, &port.dialect, &r);
	card.create_error = ENOSPC;
	assert_int_equal(slu_flow_port_create(&port, &rule, NULL, &handle, &error), -ENOSPC);
	card.create_error = EEXIST;
	slu_flow_rule_build(&rule, &port.dialect, &r);
	assert_int_equal(slu_flow_port_create(&port, &rule, NULL, &handle, &error), -EEXIST);
	assert_int_equal(card.handles, 0);
	assert_int_equal(card.created, 0);
}

static void a_shared_next_hop_replaces_the_mac_action_and_is_rewritten_at_once(void **state)
{
	static const uint8_t before[6] = {2, 0, 0, 0, 0, 1}, after[6] = {2, 0, 0, 0, 0, 9};
	struct slu_offload_request r = request(4, 6);
	struct rte_flow_action_handle *mac;
	struct slu_flow_handle handle;
	struct slu_flow_counts counts;
	struct rte_flow_error error = {0};
	struct slu_flow_port port;
	struct slu_flow_rule rule;

	(void)state;
	slu_flow_port_open(&port, 1);
	slu_flow_rule_build(&rule, &port.dialect, &r);
	mac = slu_flow_port_mac_create(&port, before);
	assert_int_equal(slu_flow_port_create(&port, &rule, mac, &handle, &error), 0);
	assert_int_equal(card.types[rule.mac_action], RTE_FLOW_ACTION_TYPE_INDIRECT);
	for (uint32_t i = 0; i < card.types_count; i++)
		assert_int_not_equal(card.fields[i], RTE_FLOW_FIELD_MAC_DST);
	assert_int_equal(slu_flow_port_mac_update(&port, mac, after), 0);
	assert_memory_equal(card.updated_mac, after, 6);
	slu_flow_port_destroy(&port, &handle, &counts);
	slu_flow_port_mac_destroy(&port, mac);
	assert_int_equal(card.handles, 0);
}

static void a_driver_with_templates_is_given_one_table_a_family_and_protocol(void **state)
{
	struct slu_flow_port port;

	(void)state;
	card.templates = true;
	slu_flow_port_open(&port, 1);
	assert_true(port.async);
	assert_int_equal(card.tables, 4);
	assert_int_equal(card.handles, 0);
	card.templates = false;
	slu_flow_port_open(&port, 1);
	assert_false(port.async);
	assert_true(port.usable);
}

static void queued_rules_come_back_with_their_user_and_their_last_packets(void **state)
{
	struct slu_offload_request r = request(6, 17);
	struct slu_flow_handle handle;
	struct slu_flow_counts counts = {0};
	struct slu_flow_result results[4];
	struct rte_flow_error error = {0};
	struct rte_flow_action_handle *mac;
	struct slu_flow_port port;
	struct slu_flow_rule rule;
	int user;

	(void)state;
	card.templates = true;
	slu_flow_port_open(&port, 1);
	slu_flow_rule_build(&rule, &port.dialect, &r);
	assert_int_equal(slu_flow_port_queue_create(&port, &rule, NULL, &handle, &user, &error), -ENOSPC);
	mac = slu_flow_port_mac_create(&port, r.hop.dst_mac);
	assert_int_equal(slu_flow_port_queue_create(&port, &rule, mac, &handle, &user, &error), -EINPROGRESS);
	assert_int_equal(slu_flow_port_pull(&port, results, 4), 0);
	slu_flow_port_push(&port);
	assert_int_equal(slu_flow_port_pull(&port, results, 4), 1);
	assert_ptr_equal(results[0].user, &user);
	assert_true(results[0].ok);
	assert_int_equal(port.in_flight, 0);
	card.packets = 7;
	card.late = 1;
	card.fails = true;
	assert_int_equal(slu_flow_port_queue_destroy(&port, &handle, &user), -EINPROGRESS);
	slu_flow_port_push(&port);
	assert_int_equal(slu_flow_port_pull(&port, results, 4), 1);
	assert_false(results[0].ok);
	slu_flow_port_finish(&port, &handle, &counts);
	assert_int_equal(counts.packets, 8);
	slu_flow_port_mac_destroy(&port, mac);
	assert_int_equal(card.handles, 0);
}

static void a_full_queue_and_a_refusal_leave_nothing_behind(void **state)
{
	struct slu_offload_request r = request(4, 6);
	struct slu_flow_handle handle;
	struct rte_flow_error error = {0};
	struct slu_flow_port port;
	struct slu_flow_rule rule;

	(void)state;
	card.templates = true;
	card.indirect_mac = false;
	slu_flow_port_open(&port, 1);
	assert_true(port.async);
	slu_flow_rule_build(&rule, &port.dialect, &r);
	card.create_error = EAGAIN;
	assert_int_equal(slu_flow_port_queue_create(&port, &rule, NULL, &handle, NULL, &error), -EAGAIN);
	assert_int_equal(port.in_flight, 0);
	assert_int_equal(card.handles, 0);
}

static void queues_are_prepared_only_where_there_are_some(void **state)
{
	(void)state;
	slu_flow_port_prepare(1); /* the recorder checks what it is asked for */
	card.queues = 1;
	slu_flow_port_prepare(1);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup(name, setup)
	const struct CMUnitTest tests[] = {T(the_pattern_is_exact_unfragmented_and_without_end_flags),
		T(modern_actions_set_every_field_and_end_at_the_represented_port),
		T(ipv6_and_udp_name_their_own_fields), T(legacy_actions_say_the_same_in_old_words),
		T(what_no_rule_can_say_is_refused), T(the_modern_spelling_and_transfer_are_tried_first),
		T(indirect_actions_are_used_only_where_rules_take_them),
		T(packets_counted_while_a_rule_dies_are_not_lost), T(a_refused_rule_leaves_no_counter_behind),
		T(a_shared_next_hop_replaces_the_mac_action_and_is_rewritten_at_once),
		T(a_driver_with_templates_is_given_one_table_a_family_and_protocol),
		T(queued_rules_come_back_with_their_user_and_their_last_packets),
		T(a_full_queue_and_a_refusal_leave_nothing_behind), T(queues_are_prepared_only_where_there_are_some)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
