/*
 * rte_flow objects of this driver and what its files share. Everything here
 * runs under the device's lock, but the operations themselves, which take it.
 */
#ifndef SLU_DRIVER_FLOW_H
#define SLU_DRIVER_FLOW_H

#include <rte_flow_driver.h>

#include "flow_parse.h"
#include "sluice.h"

struct slu_flow_queue;

struct slu_flow_count {
	uint64_t packets, bytes;
};

struct rte_flow_action_handle {
	struct slu_flow_indirect indirect; /* first: the parser's view */
	LIST_ENTRY(rte_flow_action_handle) next;
	struct slu_flow_counter counter;
	struct slu_flow_count reset_at; /* what a query with `reset` took off */
	uint32_t references;
};

struct rte_flow {
	struct slu_flow base; /* first: callbacks come with it */
	LIST_ENTRY(rte_flow) next;
	struct slu_port *port;
	struct rte_flow_action_handle *count_handle, *mac_handle;
	bool counts;
	struct slu_flow_count reset_at;
	/* AGE */
	bool ages, aged;
	uint32_t age_timeout_s;
	void *age_context;
	uint64_t age_from_us; /* the card's time: created, or the time-out last begun */
	TAILQ_ENTRY(rte_flow) age_next;
	uint32_t age_slot;
	/* Asynchronous operation under way */
	struct slu_flow_queue *queue;
	void *user_data;
	bool dying;
};

extern const struct rte_flow_ops slu_flow_ops;

/* flow.c */
void slu_flow_scope_get(const struct slu_port *port, struct slu_flow_scope *scope);
/*
 * Begins to create a parsed rule; flow->base.op tells when it is there, and done (may be NULL) is called, perhaps
 * before this returns. NULL with error set.
 */
struct rte_flow *slu_flow_begin(struct slu_port *port, const struct slu_flow_request *request,
	struct slu_flow_queue *queue, void *user_data, void (*done)(struct slu_flow *flow),
	struct rte_flow_error *error);
/* Begins to destroy a rule; done (NULL: slu_flow_free) frees it. -ENODEV: it is out of the shadow, the caller frees it.
 */
int slu_flow_end(struct rte_flow *flow, void (*done)(struct slu_flow *flow));
void slu_flow_free(struct rte_flow *flow);
/* A port goes: its rules leave the card, or, of a warm device, stay there without an owner. */
void slu_flow_port_close(struct slu_port *port);
/* Tells everyone when the card stopped to answer. */
void slu_flow_check_card(struct slu_device *device);

/* flow_async.c */
int slu_flow_async_info(struct rte_eth_dev *dev, struct rte_flow_port_info *port_info,
	struct rte_flow_queue_info *queue_info, struct rte_flow_error *error);
int slu_flow_async_configure(struct rte_eth_dev *dev, const struct rte_flow_port_attr *port_attr, uint16_t queues,
	const struct rte_flow_queue_attr *queue_attr[], struct rte_flow_error *error);
struct rte_flow *slu_flow_async_create(struct rte_eth_dev *dev, uint32_t queue, const struct rte_flow_op_attr *attr,
	struct rte_flow_template_table *table, const struct rte_flow_item pattern[], uint8_t pattern_index,
	const struct rte_flow_action actions[], uint8_t actions_index, void *user_data, struct rte_flow_error *error);
int slu_flow_async_destroy(struct rte_eth_dev *dev, uint32_t queue, const struct rte_flow_op_attr *attr,
	struct rte_flow *flow, void *user_data, struct rte_flow_error *error);
int slu_flow_async_push(struct rte_eth_dev *dev, uint32_t queue, struct rte_flow_error *error);
int slu_flow_async_pull(struct rte_eth_dev *dev, uint32_t queue, struct rte_flow_op_result results[], uint16_t count,
	struct rte_flow_error *error);
void slu_flow_async_close(struct slu_port *port);

/* flow_template.c */
struct slu_flow_template_view {
	const struct rte_flow_attr *attr;
	const struct rte_flow_item *items; /* masks */
	const struct rte_flow_action *actions, *masks;
};
/* Returns false when an index is out of range. */
bool slu_flow_template_view(const struct rte_flow_template_table *table, uint8_t pattern_index, uint8_t actions_index,
	struct slu_flow_template_view *view);
struct rte_flow_pattern_template *slu_flow_template_pattern_create(struct rte_eth_dev *dev,
	const struct rte_flow_pattern_template_attr *attr, const struct rte_flow_item pattern[],
	struct rte_flow_error *error);
int slu_flow_template_pattern_destroy(
	struct rte_eth_dev *dev, struct rte_flow_pattern_template *pattern, struct rte_flow_error *error);
struct rte_flow_actions_template *slu_flow_template_actions_create(struct rte_eth_dev *dev,
	const struct rte_flow_actions_template_attr *attr, const struct rte_flow_action actions[],
	const struct rte_flow_action masks[], struct rte_flow_error *error);
int slu_flow_template_actions_destroy(
	struct rte_eth_dev *dev, struct rte_flow_actions_template *actions, struct rte_flow_error *error);
struct rte_flow_template_table *slu_flow_template_table_create(struct rte_eth_dev *dev,
	const struct rte_flow_template_table_attr *attr, struct rte_flow_pattern_template *patterns[],
	uint8_t pattern_count, struct rte_flow_actions_template *actions[], uint8_t actions_count,
	struct rte_flow_error *error);
int slu_flow_template_table_destroy(
	struct rte_eth_dev *dev, struct rte_flow_template_table *table, struct rte_flow_error *error);
void slu_flow_template_close(struct slu_port *port);

/* flow_indirect.c */
struct rte_flow_action_handle *slu_flow_indirect_create(struct rte_eth_dev *dev,
	const struct rte_flow_indir_action_conf *conf, const struct rte_flow_action *action,
	struct rte_flow_error *error);
int slu_flow_indirect_destroy(
	struct rte_eth_dev *dev, struct rte_flow_action_handle *handle, struct rte_flow_error *error);
int slu_flow_indirect_update(struct rte_eth_dev *dev, struct rte_flow_action_handle *handle, const void *update,
	struct rte_flow_error *error);
int slu_flow_indirect_query(
	struct rte_eth_dev *dev, const struct rte_flow_action_handle *handle, void *data, struct rte_flow_error *error);
void slu_flow_indirect_close(struct slu_port *port);
/* Fills a COUNT query from the card. reset_at belongs to the counter. Returns 0, -ENODEV or -EIO. */
int slu_flow_indirect_count(
	struct slu_device *device, uint32_t id, struct slu_flow_count *reset_at, struct rte_flow_query_count *query);

/* flow_age.c */
int slu_flow_age_create(struct slu_device *device);
void slu_flow_age_destroy(struct slu_device *device);
void slu_flow_age_watch(struct rte_flow *flow);
void slu_flow_age_forget(struct rte_flow *flow);
int slu_flow_age_query(struct rte_flow *flow, struct rte_flow_query_age *query);
int slu_flow_age_get(struct rte_eth_dev *dev, void **contexts, uint32_t count, struct rte_flow_error *error);

#endif
