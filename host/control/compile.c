#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "host/config/memory.h"
#include "host/control/compile.h"
#include "host/control/ip.h"
#include "host/control/wrr.h"
#include "maglev.h"

uint64_t slu_compile_seed(const char *name)
{
	uint64_t hash = 0xcbf29ce484222325u; /* FNV-1a, then the finaliser of MurmurHash3 */

	for (; *name != '\0'; name++)
		hash = (hash ^ (unsigned char)*name) * 0x100000001b3u;
	hash = (hash ^ hash >> 33) * 0xff51afd7ed558ccdu;
	hash = (hash ^ hash >> 33) * 0xc4ceb9fe1a85ec53u;
	return hash ^ hash >> 33;
}

char *slu_compile_listener_key(const struct slu_config_listener *listener)
{
	char address[SLU_IP_TEXT_BYTES];

	return slu_memory_format("%s/%u/%s/%u", listener->name, listener->vpc,
		slu_ip_format(&listener->address, address), listener->protocol);
}

char *slu_compile_outbound_key(const struct slu_config_outbound *service, enum slu_mode mode)
{
	char public_ip[SLU_IP_TEXT_BYTES], private_ip[SLU_IP_TEXT_BYTES];

	if (mode == SLU_MODE_SNAT)
		return slu_memory_format("%s/%u/snat", service->name, service->vpc);
	return slu_memory_format("%s/%u/eip/%s/%s", service->name, service->vpc,
		slu_ip_format(&service->public_ip, public_ip), slu_ip_format(&service->private_ip, private_ip));
}

char *slu_compile_backend_key(const struct slu_config_group *group, const struct slu_config_backend *backend)
{
	char address[SLU_IP_TEXT_BYTES];

	return slu_memory_format(
		"%s/%s/%s/%u", group->name, backend->name, slu_ip_format(&backend->address, address), backend->port);
}

static void group_release(struct slu_group *group)
{
	if (group == NULL || --group->references > 0)
		return;
	free(group->backends);
	free(group->maglev);
	free(group->wrr);
	free(group);
}

static int fill_backend(const struct slu_compile *compile, const struct slu_config_group *from,
	const struct slu_config_backend *config, struct slu_backend *backend)
{
	char *key = slu_compile_backend_key(from, config);
	int ret = slu_ids_take(compile->ids, SLU_IDS_BACKEND, key, &backend->id, &backend->live);
	enum slu_health_state health = SLU_HEALTH_UNCHECKED;

	free(key);
	if (ret != 0)
		return ret;
	backend->address = config->address;
	backend->port = config->port;
	backend->configured = config->weight;
	if (from->check.type != SLU_CHECK_NONE)
		health = compile->health(compile->ctx, backend->id);
	backend->weight = health == SLU_HEALTH_UP || health == SLU_HEALTH_UNCHECKED ? config->weight : 0;
	backend->seed = slu_compile_seed(config->name);
	strcpy(backend->name, config->name);
	return 0;
}

static bool same_backend(const struct slu_backend *a, const struct slu_backend *b)
{
	/* An id stands for group, name, address and port. */
	return a->id == b->id && a->live == b->live && a->configured == b->configured && a->weight == b->weight;
}

static bool same_group(const struct slu_group *a, const struct slu_group *b)
{
	if (a->id != b->id || a->scheduler != b->scheduler || a->backend_count != b->backend_count)
		return false;
	for (uint32_t i = 0; i < a->backend_count; i++)
		if (!same_backend(&a->backends[i], &b->backends[i]))
			return false;
	return true;
}

static int build_maglev(struct slu_group *group)
{
	struct slu_maglev_backend *backends = slu_memory_zeroed(group->backend_count, sizeof(*backends));
	int ret = 0;

	group->maglev = slu_memory_zeroed(SLU_MAGLEV_SLOTS, sizeof(*group->maglev));
	for (uint32_t slot = 0; slot < SLU_MAGLEV_SLOTS; slot++)
		group->maglev[slot] = SLU_MAGLEV_NONE;
	for (uint32_t i = 0; i < group->backend_count; i++)
		backends[i] =
			(struct slu_maglev_backend){(uint16_t)i, group->backends[i].weight, group->backends[i].seed};
	if (group->weight_sum > 0)
		ret = slu_maglev_build(backends, group->backend_count, group->maglev);
	free(backends);
	return ret;
}

static void build_order(struct slu_group *group)
{
	uint16_t *weights = slu_memory_zeroed(group->backend_count, sizeof(*weights));

	for (uint32_t i = 0; i < group->backend_count; i++) {
		uint16_t weight = group->backends[i].weight;

		weights[i] = group->scheduler == SLU_SCHED_RR && weight > 1 ? 1 : weight;
	}
	group->wrr = slu_wrr_build(weights, group->backend_count, &group->wrr_count);
	free(weights);
}

static int build_scheduler(struct slu_group *group)
{
	if (group->scheduler == SLU_SCHED_MAGLEV)
		return build_maglev(group);
	if (group->scheduler == SLU_SCHED_RR || group->scheduler == SLU_SCHED_WRR)
		build_order(group);
	return 0;
}

/* A compilation under way. */
struct compiling {
	const struct slu_compile *request;
	struct slu_group **by_id; /* groups of the previous generation, made when first needed */
};

static int compare_ids(const void *left, const void *right)
{
	const struct slu_group *a = *(struct slu_group *const *)left, *b = *(struct slu_group *const *)right;

	return (a->id > b->id) - (a->id < b->id);
}

static struct slu_group *find_previous(struct compiling *compiling, const struct slu_group *wanted, uint32_t hint)
{
	const struct slu_generation *previous = compiling->request->previous;
	struct slu_group **found;

	if (previous == NULL || previous->group_count == 0)
		return NULL;
	/* Most often groups keep their order. */
	if (hint < previous->group_count && previous->groups[hint]->id == wanted->id)
		return previous->groups[hint];
	if (compiling->by_id == NULL) {
		compiling->by_id = slu_memory_zeroed(previous->group_count, sizeof(*compiling->by_id));
		memcpy(compiling->by_id, previous->groups, previous->group_count * sizeof(*compiling->by_id));
		qsort(compiling->by_id, previous->group_count, sizeof(*compiling->by_id), compare_ids);
	}
	found = bsearch(&wanted, compiling->by_id, previous->group_count, sizeof(*compiling->by_id), compare_ids);
	return found != NULL ? *found : NULL;
}

static int make_group(struct compiling *compiling, uint32_t index, struct slu_group **result)
{
	const struct slu_compile *compile = compiling->request;
	const struct slu_config_group *from = &compile->config->groups[index];
	struct slu_group *group = slu_memory_zeroed(1, sizeof(*group)), *old;
	uint32_t unused;
	int ret = slu_ids_take(compile->ids, SLU_IDS_GROUP, from->name, &group->id, &unused);

	group->references = 1;
	group->scheduler = from->scheduler;
	group->backend_count = from->backend_count;
	group->backends = slu_memory_zeroed(from->backend_count, sizeof(*group->backends));
	strcpy(group->name, from->name);
	for (uint32_t i = 0; ret == 0 && i < from->backend_count; i++) {
		ret = fill_backend(compile, from, &from->backends[i], &group->backends[i]);
		group->weight_sum += group->backends[i].weight;
	}
	old = ret == 0 ? find_previous(compiling, group, index) : NULL;
	if (old != NULL && same_group(old, group)) {
		group_release(group);
		old->references++;
		*result = old;
		return 0;
	}
	if (ret == 0)
		ret = build_scheduler(group);
	if (ret == 0)
		*result = group;
	else
		group_release(group);
	return ret;
}

static int fill_listener(
	const struct slu_compile *compile, const struct slu_config_listener *from, struct slu_listener *listener)
{
	char *key = slu_compile_listener_key(from);
	int ret = slu_ids_take(compile->ids, SLU_IDS_LISTENER, key, &listener->id, &listener->live);

	free(key);
	listener->vpc = from->vpc;
	listener->address = from->address;
	listener->protocol = from->protocol;
	listener->port_first = from->port_first;
	listener->port_last = from->port_last;
	listener->mode = from->mode;
	listener->client_address = from->client_address;
	listener->group = from->group_index;
	listener->offload = from->offload.enabled;
	listener->offload_threshold_packets = from->offload.threshold_packets;
	listener->max_sessions = from->max_sessions;
	listener->timeouts = from->timeouts;
	strcpy(listener->name, from->name);
	return ret;
}

/* What a session's listener is asked for, of an outbound service. */
static int fill_service(const struct slu_compile *compile, const struct slu_config_outbound *from, enum slu_mode mode,
	struct slu_listener *service)
{
	char *key = slu_compile_outbound_key(from, mode);
	int ret = slu_ids_take(compile->ids, SLU_IDS_LISTENER, key, &service->id, &service->live);

	free(key);
	service->vpc = from->vpc;
	service->address = from->public_ip;
	service->mode = mode;
	service->offload = from->offload.enabled;
	service->offload_threshold_packets = from->offload.threshold_packets;
	service->timeouts = from->timeouts;
	strcpy(service->name, from->name);
	return ret;
}

/* Whether this node gives an address out: alone always, in a cluster if it lies in a home prefix of its own. */
static bool is_own(const struct slu_config *config, const struct slu_ip *ip)
{
	if (config->cluster == NULL)
		return true;
	for (uint32_t i = 0; i < config->cluster->local_count; i++)
		if (slu_ip_within(ip, &config->cluster->locals[i].ip, config->cluster->locals[i].bits))
			return true;
	return false;
}

static void fill_public_addresses(
	const struct slu_config *config, const struct slu_ip *ips, uint32_t count, struct slu_outbound *outbound)
{
	for (unsigned family = 0; family < 2; family++)
		outbound->addresses[family] = slu_memory_zeroed(count, sizeof(struct slu_ip));
	for (int own = 1; own >= 0; own--) {
		for (uint32_t i = 0; i < count; i++) {
			unsigned family = ips[i].family == 6;

			if (is_own(config, &ips[i]) != own)
				continue;
			outbound->addresses[family][outbound->address_count[family]++] = ips[i];
			outbound->own_count[family] += own;
		}
	}
}

static int fill_outbound(const struct slu_compile *compile, const struct slu_config_outbound *from, enum slu_mode mode,
	struct slu_outbound *outbound)
{
	int ret = fill_service(compile, from, mode, &outbound->service);

	outbound->private_ip = from->private_ip;
	outbound->port_first = from->port_first;
	outbound->port_last = from->port_last;
	outbound->sources = slu_memory_zeroed(from->source_count, sizeof(*outbound->sources));
	outbound->source_count = from->source_count;
	for (uint32_t i = 0; i < from->source_count; i++)
		outbound->sources[i] = (struct slu_prefix){from->sources[i].ip, from->sources[i].bits};
	if (mode == SLU_MODE_EIP)
		fill_public_addresses(compile->config, &from->public_ip, 1, outbound);
	else
		fill_public_addresses(compile->config, from->addresses.ips, from->addresses.count, outbound);
	return ret;
}

static int make_outbound(const struct slu_compile *compile, struct slu_generation *generation)
{
	const struct slu_config *config = compile->config;
	int ret = 0;

	generation->outbound = slu_memory_zeroed(config->snat_count + config->eip_count, sizeof(*generation->outbound));
	for (uint32_t i = 0; ret == 0 && i < config->snat_count; i++)
		ret = fill_outbound(
			compile, &config->snats[i], SLU_MODE_SNAT, &generation->outbound[generation->outbound_count++]);
	for (uint32_t i = 0; ret == 0 && i < config->eip_count; i++)
		ret = fill_outbound(
			compile, &config->eips[i], SLU_MODE_EIP, &generation->outbound[generation->outbound_count++]);
	return ret;
}

static void list_internal(const struct slu_config *config, struct slu_generation *generation)
{
	generation->internal = slu_memory_zeroed(config->internal_count, sizeof(*generation->internal));
	generation->internal_count = config->internal_count;
	for (uint32_t i = 0; i < config->internal_count; i++)
		generation->internal[i] = (struct slu_prefix){config->internal[i].ip, config->internal[i].bits};
}

static void list_node_addresses(const struct slu_config *config, struct slu_generation *generation)
{
	uint32_t room = 0;

	for (uint32_t i = 0; i < config->port_count; i++)
		room += config->ports[i].address_count;
	generation->node = slu_memory_zeroed(room, sizeof(*generation->node));
	for (uint32_t i = 0; i < config->port_count; i++)
		for (uint32_t j = 0; j < config->ports[i].address_count; j++) {
			const struct slu_config_prefix *address = &config->ports[i].addresses[j];

			generation->node[generation->node_count++] = (struct slu_prefix){address->ip, address->bits};
		}
}

static int compare_listeners(const void *left, const void *right)
{
	const struct slu_listener *a = left, *b = right;
	int order = slu_ip_compare(&a->address, &b->address);

	if (order != 0)
		return order;
	if (a->protocol != b->protocol)
		return a->protocol < b->protocol ? -1 : 1;
	if (a->vpc != b->vpc)
		return a->vpc < b->vpc ? -1 : 1;
	return (a->port_first > b->port_first) - (a->port_first < b->port_first);
}

static void index_live(const struct slu_compile *compile, struct slu_generation *generation)
{
	generation->live_limit = slu_ids_live_limit(compile->ids, SLU_IDS_BACKEND);
	generation->by_live = slu_memory_zeroed(generation->live_limit, sizeof(*generation->by_live));
	for (uint32_t i = 0; i < generation->group_count; i++) {
		const struct slu_group *group = generation->groups[i];

		for (uint32_t j = 0; j < group->backend_count; j++)
			generation->by_live[group->backends[j].live] = &group->backends[j];
		generation->backend_count += group->backend_count;
	}
	generation->listener_live_limit = slu_ids_live_limit(compile->ids, SLU_IDS_LISTENER);
	generation->listener_by_live =
		slu_memory_zeroed(generation->listener_live_limit, sizeof(*generation->listener_by_live));
	for (uint32_t i = 0; i < generation->listener_count; i++)
		generation->listener_by_live[generation->listeners[i].live] = &generation->listeners[i];
	for (uint32_t i = 0; i < generation->outbound_count; i++)
		generation->listener_by_live[generation->outbound[i].service.live] = &generation->outbound[i].service;
}

int slu_compile_generation(const struct slu_compile *compile, struct slu_generation **result)
{
	const struct slu_config *config = compile->config;
	struct slu_generation *generation = slu_memory_zeroed(1, sizeof(*generation));
	struct compiling compiling = {.request = compile};
	int ret = 0;

	generation->number = compile->number;
	generation->groups = slu_memory_zeroed(config->group_count, sizeof(*generation->groups));
	for (uint32_t i = 0; ret == 0 && i < config->group_count; i++) {
		ret = make_group(&compiling, i, &generation->groups[i]);
		generation->group_count += ret == 0;
	}
	free(compiling.by_id);
	generation->listeners = slu_memory_zeroed(config->listener_count, sizeof(*generation->listeners));
	for (uint32_t i = 0; ret == 0 && i < config->listener_count; i++)
		ret = fill_listener(
			compile, &config->listeners[i], &generation->listeners[generation->listener_count++]);
	if (ret == 0)
		ret = make_outbound(compile, generation);
	if (ret != 0) {
		slu_compile_free(generation);
		return ret;
	}
	list_node_addresses(config, generation);
	list_internal(config, generation);
	qsort(generation->listeners, generation->listener_count, sizeof(*generation->listeners), compare_listeners);
	generation->local_count = config->local_count;
	generation->locals = slu_memory_zeroed(config->local_count, sizeof(*generation->locals));
	if (config->local_count > 0)
		memcpy(generation->locals, config->locals, config->local_count * sizeof(*generation->locals));
	index_live(compile, generation);
	*result = generation;
	return 0;
}

void slu_compile_free(struct slu_generation *generation)
{
	if (generation == NULL)
		return;
	for (uint32_t i = 0; i < generation->group_count; i++)
		group_release(generation->groups[i]);
	free(generation->groups);
	free(generation->listeners);
	free(generation->locals);
	for (uint32_t i = 0; i < generation->outbound_count; i++) {
		free(generation->outbound[i].sources);
		free(generation->outbound[i].addresses[0]);
		free(generation->outbound[i].addresses[1]);
	}
	free(generation->outbound);
	free(generation->node);
	free(generation->internal);
	free(generation->by_live);
	free(generation->listener_by_live);
	free(generation);
}
