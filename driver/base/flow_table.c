#include "flow_table.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "flow_id.h"
#include "flow_place.h"
#include "next_hop.h"

#define SCRATCH_BYTES 32768u
#define BUCKET_BYTES (SLU_NIC_BANKS * SLU_NIC_WAYS * 4u)
#define DUMP_VALID 0x80000000u
/* In FLOW.SCRATCH0: the card's flow domain was set up by a driver of this layout. */
#define WARM_MARK 0x534C5501u

struct slu_flow_table {
	struct slu_command_ring *ring;
	const struct slu_memory *memory;
	uint32_t base; /* of the flow registers */
	uint32_t bucket_bits, next_hops;
	uint32_t secret[SLU_NIC_HASH_KEYS];
	struct slu_flow_place *place;
	struct slu_flow **flows; /* [slots] */
	uint32_t *slot_epochs;   /* [slots] when a free slot was cleared */
	struct slu_flow_ids *ids;
	struct slu_next_hops *hops;
	uint8_t *scratch; /* SCRATCH_BYTES that the card writes */
	uint32_t epoch;   /* what is freed now may be in a packet's hands until the FENCE that begins the next one */
	bool unfenced;    /* something was cleared in this epoch */
	uint32_t ghosts;
	struct slu_flow_table_counts counts;
};

/* A flow in the card that nobody has claimed yet, and its record. */
struct ghost {
	struct slu_flow flow;
	union slu_rule_record record;
};

/* What a new rule needs besides its slot. */
struct grant {
	struct slu_next_hop_grant hop;
	bool has_hop;
	uint32_t id, id_epoch;
	bool clear_stats;
};

static int read_register(struct slu_flow_table *t, uint32_t offset, uint32_t *value)
{
	return t->ring->hw->ops->read(t->ring->hw->context, t->base + offset, value, 1);
}

static int write_register(struct slu_flow_table *t, uint32_t offset, uint32_t value)
{
	return t->ring->hw->ops->write(t->ring->hw->context, t->base + offset, value);
}

static void fence(struct slu_flow_table *t)
{
	slu_command_add(t->ring, SLU_NIC_OPCODE_FENCE, 0, 0);
	t->epoch++;
	t->unfenced = false;
	t->counts.fences++;
}

/* Before something freed in `epoch` is used again. */
static void fence_after(struct slu_flow_table *t, uint32_t epoch)
{
	if (epoch == t->epoch)
		fence(t);
}

static uint32_t freed_now(struct slu_flow_table *t)
{
	t->unfenced = true;
	return t->epoch;
}

/* Runs what was added since the last operation, and sleeps until it is done. */
static int run(struct slu_flow_table *t)
{
	struct slu_command_op op = {0};

	slu_command_commit(t->ring, &op);
	return slu_command_wait(t->ring, &op);
}

static void clear_slot(struct slu_flow_table *t, uint32_t slot)
{
	slu_command_add(t->ring, SLU_NIC_OPCODE_CLEAR_TAG, slot, 0);
	t->slot_epochs[slot] = freed_now(t);
}

static struct slu_flow_hash hash_of(const struct slu_flow_table *t, const struct slu_flow_key *key)
{
	return slu_flow_hash_compute(key, t->secret, t->bucket_bits);
}

/* Takes a flow out of the shadow; the card is told by the caller. */
static void forget(struct slu_flow_table *t, struct slu_flow *flow)
{
	slu_flow_place_remove(t->place, flow->slot);
	t->flows[flow->slot] = NULL;
	slu_flow_id_put(t->ids, flow->id, freed_now(t));
	if (flow->next_hop != SLU_FLOW_NO_NEXT_HOP)
		slu_next_hop_put(t->hops, flow->next_hop, freed_now(t));
	flow->in_table = false;
}

static void report(struct slu_flow *flow)
{
	if (flow->done)
		flow->done(flow);
}

static void insert_done(struct slu_command_op *op)
{
	struct slu_flow *flow = (struct slu_flow *)op;
	struct slu_flow_table *t = flow->table;

	if (op->error) {
		t->counts.card_errors++;
		if (op->error != -ENODEV && slu_command_reserve(t->ring) == 0)
			clear_slot(t, flow->slot);
		forget(t, flow);
	}
	report(flow);
}

static void remove_done(struct slu_command_op *op)
{
	struct slu_flow *flow = (struct slu_flow *)op;

	if (op->error)
		flow->table->counts.card_errors++;
	report(flow);
}

static int grant_hop(struct slu_flow_table *t, const struct slu_rule *rule, const void *handle, struct grant *g,
	enum slu_flow_refusal *refusal)
{
	g->has_hop = rule->actions & SLU_NIC_ACT_FORWARD;
	if (!g->has_hop)
		return 0;
	int error = slu_next_hop_get(t->hops, &rule->next_hop, handle, &g->hop);
	if (error)
		*refusal = SLU_FLOW_REFUSED_NO_NEXT_HOP;
	return error;
}

static void return_hop(struct slu_flow_table *t, const struct grant *g)
{
	if (g->has_hop)
		slu_next_hop_put(t->hops, g->hop.index, g->hop.fresh ? g->hop.epoch : t->epoch);
}

static int grant_id(
	struct slu_flow_table *t, struct slu_flow_counter *counter, struct grant *g, enum slu_flow_refusal *refusal)
{
	if (counter && counter->id != SLU_FLOW_NO_ID) {
		g->id = counter->id;
		slu_flow_id_hold(t->ids, g->id);
		return 0;
	}
	int error = slu_flow_id_alloc(t->ids, &g->id, &g->id_epoch);
	if (error) {
		*refusal = SLU_FLOW_REFUSED_NO_ID;
		return error;
	}
	g->clear_stats = g->id_epoch != 0;
	return 0;
}

static void bind_counter(struct slu_flow_table *t, struct slu_flow_counter *counter, uint32_t id)
{
	if (counter && counter->id == SLU_FLOW_NO_ID) {
		counter->id = id;
		slu_flow_id_hold(t->ids, id);
	}
}

static void add_hop(struct slu_flow_table *t, const struct grant *g, const struct slu_rule *rule)
{
	if (!g->has_hop || !g->hop.fresh)
		return;
	fence_after(t, g->hop.epoch);
	struct slu_nic_command *c = slu_command_add(t->ring, SLU_NIC_OPCODE_WRITE_NEXTHOP, g->hop.index, 0);
	memcpy(c->next_hop, &rule->next_hop, sizeof(rule->next_hop));
}

/* Each flow on the path has its record and tag in the new place before the old tag goes. */
static void add_moves(struct slu_flow_table *t, const struct slu_flow_place_plan *plan)
{
	for (uint32_t i = 0; i < plan->count; i++) {
		const struct slu_flow_place_move *m = &plan->moves[i];
		struct slu_flow *moved = t->flows[m->from];

		fence_after(t, t->slot_epochs[m->to]);
		slu_command_add(t->ring, SLU_NIC_OPCODE_COPY_RECORD, m->from, m->to);
		slu_command_add(t->ring, SLU_NIC_OPCODE_SET_TAG, m->to, hash_of(t, &moved->key).tag);
		clear_slot(t, m->from);
		t->flows[m->to] = moved;
		t->flows[m->from] = NULL;
		moved->slot = m->to;
		t->counts.moves++;
	}
}

static void begin(struct slu_flow_table *t, struct slu_flow *flow, void (*complete)(struct slu_command_op *))
{
	flow->table = t;
	flow->op.complete = complete;
	slu_command_commit(t->ring, &flow->op);
}

static void add_record(struct slu_flow_table *t, struct slu_flow *flow, const struct slu_rule *rule)
{
	union slu_rule_record record;
	unsigned bytes = slu_rule_encode(rule, flow->id,
		flow->next_hop == SLU_FLOW_NO_NEXT_HOP ? 0 : (uint16_t)flow->next_hop, flow->gen, &record);

	slu_command_add_record(t->ring, flow->slot, &record, bytes);
}

/* The key stands in the card already, from before a warm start. */
static int adopt(struct slu_flow_table *t, struct ghost *ghost, struct slu_flow *flow, const struct slu_rule *rule,
	struct slu_flow_counter *counter, const void *handle, enum slu_flow_refusal *refusal)
{
	struct grant g = {0};
	union slu_rule_record record;
	int error = grant_hop(t, rule, handle, &g, refusal);

	if (error)
		return error;
	g.id = counter && counter->id != SLU_FLOW_NO_ID ? counter->id : ghost->flow.id;
	slu_flow_id_hold(t->ids, g.id);
	flow->slot = ghost->flow.slot;
	flow->id = g.id;
	flow->next_hop = g.has_hop ? g.hop.index : SLU_FLOW_NO_NEXT_HOP;
	flow->gen = ghost->flow.gen;
	flow->table = t;
	flow->in_table = true;
	slu_rule_encode(rule, flow->id, g.has_hop ? (uint16_t)g.hop.index : 0, flow->gen, &record);
	bool same = !(g.has_hop && g.hop.fresh) && slu_rule_same_record(&record, &ghost->record);

	t->flows[flow->slot] = flow;
	t->ghosts--;
	if (same) {
		t->counts.adopted++;
	} else {
		add_hop(t, &g, rule);
		flow->gen++;
		add_record(t, flow, rule);
		t->counts.updated++;
	}
	slu_flow_id_put(t->ids, ghost->flow.id, freed_now(t));
	if (ghost->flow.next_hop != SLU_FLOW_NO_NEXT_HOP)
		slu_next_hop_put(t->hops, ghost->flow.next_hop, freed_now(t));
	free(ghost);
	bind_counter(t, counter, flow->id);
	if (same) {
		flow->op.done = true;
		flow->op.error = 0;
		report(flow);
	} else {
		begin(t, flow, insert_done);
	}
	return 0;
}

/* Something has this tag in these buckets: a ghost to adopt, the same rule, or another key. */
static int meet(struct slu_flow_table *t, struct slu_flow *there, struct slu_flow *flow, const struct slu_rule *rule,
	struct slu_flow_counter *counter, const void *handle, enum slu_flow_refusal *refusal)
{
	if (memcmp(&there->key, &flow->key, sizeof(flow->key)) != 0) {
		t->counts.tag_clashes++;
		*refusal = SLU_FLOW_REFUSED_TAG_CLASH;
		return -EEXIST;
	}
	if (!there->ghost) {
		t->counts.duplicates++;
		*refusal = SLU_FLOW_REFUSED_DUPLICATE;
		return -EEXIST;
	}
	return adopt(t, (struct ghost *)there, flow, rule, counter, handle, refusal);
}

static int acquire(struct slu_flow_table *t, const struct slu_flow_hash *hash, const struct slu_rule *rule,
	struct slu_flow_counter *counter, const void *handle, struct grant *g, struct slu_flow_place_plan *plan,
	enum slu_flow_refusal *refusal)
{
	int error = grant_hop(t, rule, handle, g, refusal);

	if (error)
		return error;
	error = grant_id(t, counter, g, refusal);
	if (error) {
		return_hop(t, g);
		return error;
	}
	error = slu_flow_place_insert(t->place, hash->bucket, hash->tag, plan);
	if (error) {
		slu_flow_id_put(t->ids, g->id, g->id_epoch);
		return_hop(t, g);
		*refusal = SLU_FLOW_REFUSED_NO_SLOT;
	}
	return error;
}

int slu_flow_table_insert(struct slu_flow_table *table, struct slu_flow *flow, const struct slu_rule *rule,
	struct slu_flow_counter *counter, const void *handle_of_next_hop, enum slu_flow_refusal *refusal)
{
	struct slu_flow_table *t = table;
	struct slu_flow_place_plan plan;
	struct grant g = {0};
	uint32_t slot;

	*refusal = SLU_FLOW_REFUSED_NOT;
	if (slu_command_reserve(t->ring)) {
		*refusal = SLU_FLOW_REFUSED_CARD;
		return -ENODEV;
	}
	slu_rule_key(rule, &flow->key);
	flow->ghost = false;
	struct slu_flow_hash hash = hash_of(t, &flow->key);
	if (slu_flow_place_find(t->place, hash.bucket, hash.tag, &slot) == 0)
		return meet(t, t->flows[slot], flow, rule, counter, handle_of_next_hop, refusal);
	int error = acquire(t, &hash, rule, counter, handle_of_next_hop, &g, &plan, refusal);
	if (error) {
		t->counts.full++;
		return error;
	}
	add_moves(t, &plan);
	fence_after(t, t->slot_epochs[plan.slot]);
	add_hop(t, &g, rule);
	if (g.clear_stats) {
		fence_after(t, g.id_epoch);
		slu_command_add(t->ring, SLU_NIC_OPCODE_CLEAR_STATS, g.id, 1);
	}
	flow->slot = plan.slot;
	flow->id = g.id;
	flow->next_hop = g.has_hop ? g.hop.index : SLU_FLOW_NO_NEXT_HOP;
	flow->gen = (uint8_t)(t->counts.inserts + 1);
	flow->in_table = true;
	add_record(t, flow, rule);
	slu_command_add(t->ring, SLU_NIC_OPCODE_SET_TAG, flow->slot, hash.tag);
	t->flows[flow->slot] = flow;
	bind_counter(t, counter, flow->id);
	t->counts.inserts++;
	begin(t, flow, insert_done);
	return 0;
}

int slu_flow_table_remove(struct slu_flow_table *table, struct slu_flow *flow)
{
	if (!flow->op.done)
		slu_command_wait(table->ring, &flow->op);
	if (slu_command_reserve(table->ring)) {
		if (flow->in_table)
			forget(table, flow);
		return -ENODEV;
	}
	if (flow->in_table) {
		uint32_t slot = flow->slot;

		forget(table, flow);
		clear_slot(table, slot);
		table->counts.removes++;
	} else {
		slu_command_add(
			table->ring, SLU_NIC_OPCODE_NOP, 0, 0); /* the card refused it before: nothing to clear */
	}
	begin(table, flow, remove_done);
	return 0;
}

int slu_flow_table_counter_open(struct slu_flow_table *table, struct slu_flow_counter *counter)
{
	struct grant g = {0};
	enum slu_flow_refusal refusal;

	if (counter->id != SLU_FLOW_NO_ID)
		return 0;
	if (slu_command_reserve(table->ring))
		return -ENODEV;
	int error = grant_id(table, NULL, &g, &refusal);
	if (error)
		return error;
	if (g.clear_stats) {
		fence_after(table, g.id_epoch);
		slu_command_add(table->ring, SLU_NIC_OPCODE_CLEAR_STATS, g.id, 1);
	}
	counter->id = g.id;
	return 0;
}

void slu_flow_table_counter_close(struct slu_flow_table *table, struct slu_flow_counter *counter)
{
	if (counter->id != SLU_FLOW_NO_ID)
		slu_flow_id_put(table->ids, counter->id, freed_now(table));
	counter->id = SLU_FLOW_NO_ID;
}

static uint64_t little_endian(const uint8_t *bytes, unsigned count)
{
	uint64_t value = 0;

	memcpy(&value, bytes, count);
	return value;
}

int slu_flow_table_stats(struct slu_flow_table *table, uint32_t id, struct slu_flow_stats *stats)
{
	struct slu_flow_table *t = table;
	const struct slu_nic_flow_stats *raw = (const struct slu_nic_flow_stats *)t->scratch;

	if (slu_command_reserve(t->ring))
		return -ENODEV;
	if (t->unfenced)
		fence(t);
	slu_command_add(t->ring, SLU_NIC_OPCODE_READ_STATS, id, 1)->addr = (uintptr_t)t->scratch;
	int error = run(t);
	if (error)
		return error;
	stats->bytes = little_endian(raw->bytes, sizeof(raw->bytes));
	stats->packets = little_endian(raw->packets, sizeof(raw->packets));
	stats->last_seen_us = little_endian(raw->last_seen, sizeof(raw->last_seen)) << 10;
	return 0;
}

int slu_flow_table_set_mac(struct slu_flow_table *table, const void *handle, const uint8_t mac[6])
{
	int error = 0;

	for (uint32_t i = 0; !error && slu_next_hop_owned(table->hops, handle, &i); i++) {
		struct slu_nic_next_hop content = *slu_next_hop_content(table->hops, i);

		if (slu_command_reserve(table->ring))
			return -ENODEV;
		memcpy(content.dmac, mac, sizeof(content.dmac));
		slu_next_hop_rewrite(table->hops, i, &content);
		memcpy(slu_command_add(table->ring, SLU_NIC_OPCODE_WRITE_NEXTHOP, i, 0)->next_hop, &content,
			sizeof(content));
		error = run(table);
	}
	return error;
}

void slu_flow_table_forget_handle(struct slu_flow_table *table, const void *handle)
{
	slu_next_hop_disown(table->hops, handle);
}

int slu_flow_table_sweep(struct slu_flow_table *table)
{
	struct slu_flow_table *t = table;
	uint32_t slot = 0, tag;
	bool some = false;

	for (; t->ghosts && slu_flow_place_next(t->place, &slot, &tag); slot++) {
		struct slu_flow *flow = t->flows[slot];

		if (!flow->ghost)
			continue;
		if (slu_command_reserve(t->ring))
			return -ENODEV;
		forget(t, flow);
		free((struct ghost *)flow);
		t->ghosts--;
		t->counts.swept++;
		clear_slot(t, slot);
		some = true;
		/* Each stretch ends in an operation, or the ring would never be known to drain. */
		if (t->counts.swept % (SLU_COMMAND_OP_UNITS_MAX / 2) == 0) {
			int error = run(t);
			if (error)
				return error;
			some = false;
		}
	}
	return some ? run(t) : 0;
}

const struct slu_flow_table_counts *slu_flow_table_counts_get(const struct slu_flow_table *table)
{
	return &table->counts;
}

uint32_t slu_flow_table_used(const struct slu_flow_table *table)
{
	return slu_flow_place_used(table->place);
}

uint32_t slu_flow_table_ghosts(const struct slu_flow_table *table)
{
	return table->ghosts;
}

/* --- Start --- */

static int start_cold(struct slu_flow_table *t)
{
	slu_command_add(t->ring, SLU_NIC_OPCODE_FLOW_RESET, 0, 0);
	int error = run(t);

	if (!error && getrandom(t->secret, sizeof(t->secret), 0) != (ssize_t)sizeof(t->secret))
		error = -EIO;
	slu_flow_hash_condition(t->secret);
	for (uint32_t i = 0; i < SLU_NIC_HASH_KEYS && !error; i++)
		error = write_register(t, SLU_NIC_FLOW_HASH_KEY0 + 4 * i, t->secret[i]);
	if (!error)
		error = write_register(t, SLU_NIC_FLOW_SCRATCH0, WARM_MARK);
	return error;
}

static int restore_hops(struct slu_flow_table *t)
{
	const uint32_t chunk = SCRATCH_BYTES / sizeof(struct slu_nic_next_hop);
	const struct slu_nic_next_hop *hop = (const struct slu_nic_next_hop *)t->scratch;

	for (uint32_t first = 0; first < t->next_hops; first += chunk) {
		uint32_t count = t->next_hops - first < chunk ? t->next_hops - first : chunk;

		slu_command_add(t->ring, SLU_NIC_OPCODE_READ_NEXTHOP, first, count)->addr = (uintptr_t)t->scratch;
		int error = run(t);
		if (error)
			return error;
		for (uint32_t i = 0; i < count; i++) {
			if (hop[i].flags & SLU_NIC_NH_VALID)
				slu_next_hop_restore(t->hops, first + i, &hop[i]);
		}
	}
	return 0;
}

/* One record read back. Returns false when it is not what a driver would have put there, or is there twice. */
static bool restore_flow(struct slu_flow_table *t, uint32_t slot, uint32_t tag, const union slu_rule_record *record)
{
	struct slu_flow_key key;
	uint32_t bank = slot >> (t->bucket_bits + 2), bucket = slot >> 2 & ((1u << t->bucket_bits) - 1);

	if (slu_rule_decode_key(record, &key))
		return false;
	struct slu_flow_hash hash = hash_of(t, &key);
	uint32_t expected = bank ? hash.bucket ^ slu_flow_hash_alternate(hash.tag, t->bucket_bits) : hash.bucket;
	bool forward = record->v4.actions & SLU_NIC_ACT_FORWARD;
	if (hash.tag != tag || expected != bucket || slu_flow_place_restore(t->place, slot, tag))
		return false;
	struct ghost *ghost = calloc(1, sizeof(*ghost));
	bool id_held = ghost && slu_flow_id_restore(t->ids, record->v4.flow_id);
	if (!id_held || (forward && !slu_next_hop_hold(t->hops, record->v4.next_hop))) {
		if (id_held)
			slu_flow_id_put(t->ids, record->v4.flow_id, t->epoch);
		slu_flow_place_remove(t->place, slot);
		free(ghost);
		return false;
	}
	ghost->record = *record;
	ghost->flow = (struct slu_flow){.op.done = true,
		.table = t,
		.key = key,
		.slot = slot,
		.id = record->v4.flow_id,
		.next_hop = forward ? record->v4.next_hop : SLU_FLOW_NO_NEXT_HOP,
		.gen = record->v4.gen,
		.in_table = true,
		.ghost = true};
	t->flows[slot] = &ghost->flow;
	t->ghosts++;
	return true;
}

/* Reads the records of slots[0..count) and takes them over; what is not valid is cleared. */
static int restore_records(struct slu_flow_table *t, const uint32_t *slots, const uint32_t *tags, uint32_t count)
{
	const union slu_rule_record *records = (const union slu_rule_record *)t->scratch;
	int error = 0;

	for (uint32_t i = 0; i < count; i++)
		slu_command_add(t->ring, SLU_NIC_OPCODE_READ_RECORD, slots[i], 0)->addr = (uintptr_t)&records[i];
	if (count)
		error = run(t);
	bool cleared = false;
	for (uint32_t i = 0; i < count && !error; i++) {
		if (restore_flow(t, slots[i], tags[i], &records[i]))
			continue;
		clear_slot(t, slots[i]);
		t->counts.swept++;
		cleared = true;
	}
	return cleared && !error ? run(t) : error;
}

static int restore_buckets(struct slu_flow_table *t, const uint32_t *words, uint32_t first, uint32_t buckets)
{
	enum { BATCH = SLU_COMMAND_OP_UNITS_MAX / 2 };
	uint32_t slots[BATCH], tags[BATCH], count = 0;
	int error = 0;

	for (uint32_t i = 0; i < buckets * SLU_NIC_BANKS * SLU_NIC_WAYS && !error; i++) {
		uint32_t bucket = first + i / (SLU_NIC_BANKS * SLU_NIC_WAYS);
		uint32_t bank = i / SLU_NIC_WAYS % SLU_NIC_BANKS, way = i % SLU_NIC_WAYS;

		if (!(words[i] & DUMP_VALID))
			continue;
		slots[count] = bank << (t->bucket_bits + 2) | bucket << 2 | way;
		tags[count++] = words[i] & SLU_FLOW_HASH_TAG_MASK;
		if (count == BATCH) {
			error = restore_records(t, slots, tags, count);
			count = 0;
		}
	}
	return error ? error : restore_records(t, slots, tags, count);
}

static int restore_tags(struct slu_flow_table *t)
{
	const uint32_t chunk = SCRATCH_BYTES / BUCKET_BYTES;
	uint32_t *words = malloc(SCRATCH_BYTES);
	int error = words ? 0 : -ENOMEM;

	for (uint32_t first = 0; first < 1u << t->bucket_bits && !error; first += chunk) {
		uint32_t count = (1u << t->bucket_bits) - first < chunk ? (1u << t->bucket_bits) - first : chunk;

		slu_command_add(t->ring, SLU_NIC_OPCODE_DUMP_TAGS, first, count)->addr = (uintptr_t)t->scratch;
		error = run(t);
		if (error)
			break;
		memcpy(words, t->scratch, count * BUCKET_BYTES); /* the records come into the same scratch */
		error = restore_buckets(t, words, first, count);
	}
	free(words);
	return error;
}

static int start_warm(struct slu_flow_table *t)
{
	int error = 0;

	for (uint32_t i = 0; i < SLU_NIC_HASH_KEYS && !error; i++)
		error = read_register(t, SLU_NIC_FLOW_HASH_KEY0 + 4 * i, &t->secret[i]);
	/* Commands of the host before may have ended anywhere: whatever they cleared is fenced here. */
	if (!error) {
		fence(t);
		error = run(t);
	}
	if (!error)
		error = restore_hops(t);
	if (!error)
		error = restore_tags(t);
	if (error)
		return error;
	slu_next_hop_sweep(t->hops, freed_now(t));
	slu_flow_id_sweep(t->ids, freed_now(t));
	return 0;
}

static int start(struct slu_flow_table *t, bool warm)
{
	uint32_t mark;
	int error = read_register(t, SLU_NIC_FLOW_SCRATCH0, &mark);

	if (error)
		return error;
	error = warm && mark == WARM_MARK ? start_warm(t) : start_cold(t);
	if (!error)
		error = write_register(t, SLU_NIC_FLOW_CONTROL, SLU_NIC_FLOW_CTL_LOOKUP_ENABLE);
	return error;
}

static int allocate(struct slu_flow_table *t, const struct slu_card *card)
{
	int error = slu_flow_place_create(card->bucket_bits, &t->place);

	if (!error)
		error = slu_flow_id_create(card->flow_id_bits, &t->ids);
	if (!error)
		error = slu_next_hop_create(card->next_hop_bits, &t->hops);
	if (error)
		return error;
	t->flows = calloc(slu_flow_place_slots(t->place), sizeof(struct slu_flow *));
	t->slot_epochs = calloc(slu_flow_place_slots(t->place), sizeof(*t->slot_epochs));
	t->scratch = t->memory->alloc(SCRATCH_BYTES, 4096);
	return t->flows && t->slot_epochs && t->scratch ? 0 : -ENOMEM;
}

int slu_flow_table_create(struct slu_command_ring *ring, const struct slu_card *card, bool warm,
	struct slu_flow_table **table, char *why, size_t why_bytes)
{
	struct slu_flow_table *t = calloc(1, sizeof(*t));

	if (!t)
		return -ENOMEM;
	t->ring = ring;
	t->memory = ring->memory;
	t->base = card->flow_base;
	t->bucket_bits = card->bucket_bits;
	t->next_hops = 1u << card->next_hop_bits;
	t->epoch = 1;
	int error = allocate(t, card);
	if (error)
		snprintf(why, why_bytes, "no memory for a table of %u slots", 8u << card->bucket_bits);
	else if ((error = start(t, warm)))
		snprintf(why, why_bytes, "the card refused to %s its flow table: %s", warm ? "read back" : "clear",
			strerror(-error));
	if (error) {
		slu_flow_table_destroy(t);
		return error;
	}
	*table = t;
	return 0;
}

void slu_flow_table_destroy(struct slu_flow_table *table)
{
	struct slu_flow_table *t = table;
	uint32_t slot = 0, tag;

	if (!t)
		return;
	for (; t->flows && t->ghosts && slu_flow_place_next(t->place, &slot, &tag); slot++) {
		if (t->flows[slot] && t->flows[slot]->ghost)
			free((struct ghost *)t->flows[slot]);
	}
	slu_flow_place_destroy(t->place);
	slu_flow_id_destroy(t->ids);
	slu_next_hop_destroy(t->hops);
	free(t->flows);
	free(t->slot_epochs);
	if (t->scratch)
		t->memory->free(t->scratch);
	free(t);
}
