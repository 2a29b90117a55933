#include "card.h"

#include <errno.h>
#include <libfdt.h>
#include <stdio.h>
#include <string.h>

/* Reading stops at the first fault; `error` and `why` keep it. */
struct reader {
	const void *tree;
	int error;
	char *why;
	size_t why_bytes;
};

#define FAIL(r, code, ...)                                                                                             \
	do {                                                                                                           \
		if (!(r)->error) {                                                                                     \
			(r)->error = (code);                                                                           \
			snprintf((r)->why, (r)->why_bytes, __VA_ARGS__);                                               \
		}                                                                                                      \
	} while (0)

static const char *node_name(const struct reader *r, int node)
{
	const char *name = node < 0 ? NULL : fdt_get_name(r->tree, node, NULL);

	return name && *name ? name : "/";
}

static int find_node(struct reader *r, const char *compatible)
{
	int node = fdt_node_offset_by_compatible(r->tree, -1, compatible);

	if (node < 0)
		FAIL(r, -ENOTSUP, "device tree: no node is compatible with \"%s\": %s", compatible, fdt_strerror(node));
	return node;
}

static uint32_t cell(struct reader *r, int node, const char *property, int index)
{
	int bytes;

	if (r->error)
		return 0;
	const void *data = fdt_getprop(r->tree, node, property, &bytes);
	if (!data || bytes < 4 * (index + 1)) {
		FAIL(r, -EBADMSG, "device tree: node %s: property %s: %s", node_name(r, node), property,
			data ? "too short" : fdt_strerror(bytes));
		return 0;
	}
	fdt32_t value;
	memcpy(&value, (const char *)data + 4 * index, sizeof(value));
	return fdt32_to_cpu(value);
}

static uint32_t ranged(struct reader *r, int node, const char *property, uint32_t min, uint32_t max)
{
	uint32_t value = cell(r, node, property, 0);

	if (!r->error && (value < min || value > max))
		FAIL(r, -ENOTSUP, "device tree: node %s: property %s is %u, this driver handles %u to %u",
			node_name(r, node), property, value, min, max);
	return value;
}

static uint32_t fixed(struct reader *r, int node, const char *property, uint32_t only)
{
	return ranged(r, node, property, only, only);
}

/* First cell of reg: a block of at least `need` bytes inside BAR0. */
static uint32_t block(struct reader *r, int node, uint32_t need)
{
	uint32_t base = cell(r, node, "reg", 0), bytes = cell(r, node, "reg", 1);

	if (!r->error &&
		(base % 4 || bytes < need || base > SLU_NIC_DT_ROM_OFFSET || bytes > SLU_NIC_DT_ROM_OFFSET - base))
		FAIL(r, -ENOTSUP, "device tree: node %s: property reg: block 0x%x+0x%x does not fit the registers",
			node_name(r, node), base, bytes);
	return base;
}

static void read_flow(struct reader *r, struct slu_card *card)
{
	int node = find_node(r, "sluice,flow-table");

	card->flow_base = block(r, node, SLU_NIC_FLOW_HASH_KEY0 + 4 * SLU_NIC_HASH_KEYS);
	card->bucket_bits = ranged(r, node, "sluice,bucket-bits", 1, 24);
	card->flow_id_bits = ranged(r, node, "sluice,flow-id-bits", 1, 26);
	card->next_hop_bits = ranged(r, node, "sluice,next-hop-bits", 1, 16);
	fixed(r, node, "sluice,banks", SLU_NIC_BANKS);
	fixed(r, node, "sluice,ways", SLU_NIC_WAYS);
	fixed(r, node, "sluice,tag-bits", SLU_NIC_TAG_BITS);
	fixed(r, node, "sluice,record-bytes", SLU_NIC_RECORD_BYTES);
	fixed(r, node, "sluice,flow-stats-bytes", sizeof(struct slu_nic_flow_stats));
	fixed(r, node, "sluice,next-hop-bytes", sizeof(struct slu_nic_next_hop));
	fixed(r, node, "sluice,hash-key-words", SLU_NIC_HASH_KEYS);
	if (r->error)
		return;
	int bytes;
	const char *hash = fdt_getprop(r->tree, node, "sluice,hash", &bytes);
	if (!hash || bytes != sizeof("nh-2mul") || memcmp(hash, "nh-2mul", sizeof("nh-2mul")) != 0)
		FAIL(r, -ENOTSUP, "device tree: node %s: property sluice,hash is not \"nh-2mul\"", node_name(r, node));
}

static void read_queues(struct reader *r, struct slu_card *card)
{
	int node = find_node(r, "sluice,queue-pairs");

	card->queue_stride = ranged(r, node, "sluice,stride", SLU_NIC_QUEUE_TX_HEAD + 4, 0x1000);
	card->queues = ranged(r, node, "sluice,count", 1, SLU_CARD_QUEUES_MAX);
	card->queue_base =
		block(r, node, r->error ? 0 : (card->queues - 1) * card->queue_stride + SLU_NIC_QUEUE_TX_HEAD + 4);
	fixed(r, node, "sluice,rx-desc-bytes", sizeof(struct slu_nic_rx_desc));
	fixed(r, node, "sluice,rx-completion-bytes", sizeof(struct slu_nic_rx_completion));
	fixed(r, node, "sluice,tx-desc-bytes", sizeof(struct slu_nic_tx_desc));
	uint32_t rx = ranged(r, node, "sluice,rx-ring-log2-max", 6, 15);
	uint32_t tx = ranged(r, node, "sluice,tx-ring-log2-max", 6, 15);
	card->ring_log2_max = rx < tx ? rx : tx;
}

static void read_commands(struct reader *r, struct slu_card *card)
{
	int node = find_node(r, "sluice,command-ring");

	card->command_base = block(r, node, SLU_NIC_CMD_ERRORS + 4);
	fixed(r, node, "sluice,unit-bytes", sizeof(struct slu_nic_command));
	fixed(r, node, "sluice,completion-bytes", sizeof(struct slu_nic_cmd_completion));
	card->command_log2_max = ranged(r, node, "sluice,ring-log2-max", 8, 16);
}

static void read_port(struct reader *r, struct slu_card *card, int node)
{
	uint32_t index = ranged(r, node, "sluice,port", 0, SLU_CARD_PORTS_MAX - 1);

	if (r->error)
		return;
	struct slu_card_port *port = &card->port[index];
	if (port->queues) {
		FAIL(r, -ENOTSUP, "device tree: node %s: property sluice,port: %u is there twice", node_name(r, node),
			index);
		return;
	}
	port->base = block(r, node, SLU_NIC_PORT_STATS0);
	port->queues = ranged(r, node, "sluice,queues", 1, card->queues);
	port->first_queue = ranged(r, node, "sluice,first-queue", 0, card->queues - 1);
	port->frame_max_bytes = ranged(r, node, "sluice,frame-max-bytes", 1518, SLU_NIC_FRAME_MAX_BYTES);
	fixed(r, node, "sluice,reta-entries", SLU_NIC_RETA_ENTRIES);
	if (!r->error && port->first_queue + port->queues > card->queues)
		FAIL(r, -ENOTSUP, "device tree: node %s: property sluice,queues: only %u queues exist",
			node_name(r, node), card->queues);
	if (r->error)
		return;
	int bytes;
	const uint8_t *mac = fdt_getprop(r->tree, node, "local-mac-address", &bytes);
	if (mac && bytes != 6)
		FAIL(r, -EBADMSG, "device tree: node %s: property local-mac-address has %d bytes", node_name(r, node),
			bytes);
	else if (mac)
		memcpy(port->mac, mac, 6);
	card->ports++;
}

static void read_ports(struct reader *r, struct slu_card *card)
{
	for (int node = fdt_node_offset_by_compatible(r->tree, -1, "sluice,port"); node >= 0 && !r->error;
		node = fdt_node_offset_by_compatible(r->tree, node, "sluice,port"))
		read_port(r, card, node);
	if (!r->error && card->ports == 0)
		FAIL(r, -ENOTSUP, "device tree: no node is compatible with \"sluice,port\"");
	for (uint32_t p = 0; p < card->ports && !r->error; p++) {
		if (!card->port[p].queues)
			FAIL(r, -ENOTSUP, "device tree: %u ports, but no node with sluice,port = %u", card->ports, p);
	}
}

int slu_card_parse(const void *tree, size_t tree_bytes, struct slu_card *card, char *why, size_t why_bytes)
{
	struct reader r = {.tree = tree, .why = why, .why_bytes = why_bytes};
	struct slu_card found = {0};
	int error = tree_bytes < sizeof(struct fdt_header) ? -FDT_ERR_TRUNCATED : fdt_check_full(tree, tree_bytes);

	if (error) {
		snprintf(why, why_bytes, "device tree: %zu bytes: %s", tree_bytes, fdt_strerror(error));
		return -EBADMSG;
	}
	if (fdt_node_check_compatible(tree, 0, "sluice,nic") != 0) {
		const char *other = fdt_getprop(tree, 0, "compatible", NULL);

		snprintf(why, why_bytes, "device tree: node /: property compatible is \"%.64s\", not \"sluice,nic\"",
			other ? other : "(none)");
		return -ENOTSUP;
	}
	int bytes;
	const char *model = fdt_getprop(tree, 0, "model", &bytes);
	snprintf(found.model, sizeof(found.model), "%.*s", model && bytes > 0 ? bytes - 1 : 0, model ? model : "");
	int clock = find_node(&r, "fixed-clock");
	found.clock_hz = ranged(&r, clock, "clock-frequency", 1, UINT32_MAX);
	read_flow(&r, &found);
	read_queues(&r, &found);
	read_commands(&r, &found);
	read_ports(&r, &found);
	if (!r.error)
		*card = found;
	return r.error;
}
