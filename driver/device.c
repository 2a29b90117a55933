#include "device.h"

#include <fcntl.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <rte_alarm.h>
#include <rte_interrupts.h>
#include <rte_malloc.h>

#include "base/hw_vfio_user.h"
#include "dma.h"
#include "flow.h"

#define WHY_BYTES 256
#define POLLS 10000

struct slu_port *slu_device_port_by_id(const struct slu_device *device, uint32_t ethdev_id)
{
	for (unsigned p = 0; p < device->card.ports; p++) {
		struct slu_port *port = device->ports[p];

		if (port && port->eth_dev->data->port_id == ethdev_id)
			return port;
	}
	return NULL;
}

static int read_id(struct slu_device *d, uint32_t offset, uint32_t *value)
{
	return d->hw.ops->read(d->hw.context, SLU_NIC_ID_BASE + offset, value, 1);
}

static int read_tree(struct slu_device *d, char *why)
{
	static const char *const what = "no card of this driver behind BAR0";
	uint32_t id[4]; /* MAGIC, VERSION, DT_OFFSET, DT_BYTES */
	int error = d->hw.ops->read(d->hw.context, SLU_NIC_ID_BASE + SLU_NIC_ID_MAGIC, id, 4);

	if (error) {
		snprintf(why, WHY_BYTES, "cannot read registers: %s", strerror(-error));
		return error;
	}
	if (id[0] != SLU_NIC_MAGIC || id[1] >> 16 != SLU_NIC_VERSION >> 16) {
		snprintf(why, WHY_BYTES, "%s: magic 0x%08x, version 0x%08x", what, id[0], id[1]);
		return -ENOTSUP;
	}
	if (id[2] % 4 || id[2] >= SLU_NIC_BAR0_BYTES || id[3] > SLU_NIC_BAR0_BYTES - id[2]) {
		snprintf(why, WHY_BYTES, "%s: device tree at 0x%x, %u bytes", what, id[2], id[3]);
		return -EBADMSG;
	}
	uint32_t words = (id[3] + 3) / 4;
	uint32_t *tree = calloc(words + 1, sizeof(*tree));
	if (!tree)
		return -ENOMEM;
	error = d->hw.ops->read(d->hw.context, id[2], tree, words);
	if (error)
		snprintf(why, WHY_BYTES, "cannot read the device tree: %s", strerror(-error));
	else
		error = slu_card_parse(tree, id[3], &d->card, why, WHY_BYTES);
	free(tree);
	return error;
}

static int reset_host(struct slu_device *d, char *why)
{
	uint32_t control = SLU_NIC_CONTROL_HOST_RESET;
	int error = d->hw.ops->reset(d->hw.context);

	for (int i = 0; i < POLLS && !error && (control & SLU_NIC_CONTROL_HOST_RESET); i++)
		error = read_id(d, SLU_NIC_ID_CONTROL, &control);
	if (!error && (control & SLU_NIC_CONTROL_HOST_RESET))
		error = -ETIMEDOUT;
	if (!error)
		error = d->hw.ops->write(
			d->hw.context, SLU_NIC_ID_BASE + SLU_NIC_ID_CONTROL, SLU_NIC_CONTROL_DMA_ENABLE);
	if (error)
		snprintf(why, WHY_BYTES, "cannot reset the host side of the card: %s", strerror(-error));
	return error;
}

static int open_interrupts(struct slu_device *d, char *why)
{
	int error = 0;

	for (uint32_t v = 0; v <= d->card.queues && !error; v++) {
		d->eventfds[v] = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
		if (d->eventfds[v] < 0)
			error = -errno;
	}
	if (!error)
		error = d->hw.ops->set_irqs(d->hw.context, d->eventfds, d->card.queues + 1);
	if (error)
		snprintf(why, WHY_BYTES, "cannot set up interrupts: %s", strerror(-error));
	return error;
}

static void announce(void *argument)
{
	struct slu_device *d = argument;
	struct rte_eth_dev *ports[SLU_CARD_PORTS_MAX];
	unsigned count = 0;

	SLU_LOG(ERR, "%s: the card has gone", d->name);
	for (unsigned p = 0; p < d->card.ports; p++) {
		if (d->ports[p])
			ports[count++] = d->ports[p]->eth_dev;
	}
	/* An application may close ports at once, and the device with its last one: it is not touched from here on. */
	for (unsigned p = 0; p < count; p++) {
		if (ports[p]->state == RTE_ETH_DEV_ATTACHED)
			rte_eth_dev_callback_process(ports[p], RTE_ETH_EVENT_INTR_RMV, NULL);
	}
}

void slu_device_announce_removal(struct slu_device *device)
{
	atomic_store(&device->hw.gone, true);
	if (!atomic_exchange(&device->removal_wanted, true))
		rte_eal_alarm_set(1, announce, device);
}

/* EAL's interrupt thread: the connection has ended. The descriptor stays readable, so once is enough. */
static void hung_up(void *argument)
{
	struct slu_device *d = argument;

	rte_intr_callback_unregister_pending(d->hangup, hung_up, d, NULL);
	slu_device_announce_removal(d);
}

static int watch_hangup(struct slu_device *d)
{
	d->hangup = rte_intr_instance_alloc(RTE_INTR_INSTANCE_F_PRIVATE);
	if (!d->hangup)
		return -ENOMEM;
	rte_intr_fd_set(d->hangup, d->hw.hangup_fd);
	rte_intr_type_set(d->hangup, RTE_INTR_HANDLE_EXT);
	return rte_intr_callback_register(d->hangup, hung_up, d);
}

static int set_up(struct slu_device *d, char *why)
{
	int error = read_tree(d, why);

	if (!error)
		error = reset_host(d, why);
	if (!error)
		error = open_interrupts(d, why);
	if (error)
		return error;
	error = slu_dma_start(d);
	if (error) {
		snprintf(why, WHY_BYTES, "cannot share the application's memory: %s", strerror(-error));
		return error;
	}
	error = slu_command_init(&d->ring, &d->hw, &d->card, &slu_dma_memory, d->eventfds[d->card.queues]);
	if (error) {
		snprintf(why, WHY_BYTES, "cannot set up the command ring: %s", strerror(-error));
		return error;
	}
	/* A warm table is read back when it is needed: until then packets go through the ports. */
	if (!d->warm)
		error = slu_flow_table_create(&d->ring, &d->card, false, &d->table, why, WHY_BYTES);
	if (!error)
		error = slu_flow_age_create(d);
	if (!error)
		error = rte_eth_switch_domain_alloc(&d->domain);
	if (!error)
		error = watch_hangup(d);
	return error;
}

static void free_device(struct slu_device *d)
{
	if (d->hangup) {
		while (rte_intr_callback_unregister(d->hangup, hung_up, d) == -EAGAIN)
			;
		rte_intr_instance_free(d->hangup);
	}
	rte_eal_alarm_cancel(announce, d); /* last: the card may have gone just now */
	slu_command_fini(&d->ring);        /* operations under way fail, and look at the table */
	slu_flow_age_destroy(d);
	slu_flow_table_destroy(d->table);
	struct rte_flow *flow;
	while ((flow = LIST_FIRST(&d->orphans))) {
		LIST_REMOVE(flow, next);
		free(flow);
	}
	if (d->domain != RTE_ETH_DEV_SWITCH_DOMAIN_ID_INVALID)
		rte_eth_switch_domain_free(d->domain);
	slu_dma_stop(d);
	if (d->hw.ops)
		d->hw.ops->close(d->hw.context);
	for (uint32_t v = 0; v <= SLU_CARD_QUEUES_MAX; v++) {
		if (d->eventfds[v] >= 0)
			close(d->eventfds[v]);
	}
	pthread_mutex_destroy(&d->lock);
	free(d);
}

struct slu_flow_table *slu_device_table(struct slu_device *d)
{
	char why[WHY_BYTES] = "";

	if (d->table || d->table_failed)
		return d->table;
	int error = slu_flow_table_create(&d->ring, &d->card, d->warm, &d->table, why, sizeof(why));
	d->table_failed = error != 0;
	if (error) {
		SLU_LOG(ERR, "%s: no rules from here on: %s", d->name, *why ? why : strerror(-error));
		d->table = NULL;
		return NULL;
	}
	SLU_LOG(INFO, "%s: %u flows found in the card", d->name, slu_flow_table_ghosts(d->table));
	return d->table;
}

int slu_device_open(
	const char *name, const char *socket, bool warm, struct rte_device *rte_device, struct slu_device **device)
{
	char why[WHY_BYTES] = "";
	struct slu_device *d = calloc(1, sizeof(*d));

	if (!d)
		return -ENOMEM;
	snprintf(d->name, sizeof(d->name), "%s", name);
	d->warm = warm;
	d->rte_device = rte_device;
	d->domain = RTE_ETH_DEV_SWITCH_DOMAIN_ID_INVALID;
	for (uint32_t v = 0; v <= SLU_CARD_QUEUES_MAX; v++)
		d->eventfds[v] = -1;
	pthread_mutex_init(&d->lock, NULL);
	int error = slu_hw_vfio_user_open(socket, &d->hw, why, sizeof(why));
	if (error)
		d->hw.ops = NULL; /* closed already */
	else
		error = set_up(d, why);
	if (error) {
		SLU_LOG(ERR, "%s: %s", name, *why ? why : strerror(-error));
		free_device(d);
		return error;
	}
	SLU_LOG(INFO, "%s: %s, %u ports, %u flows", name, d->card.model, d->card.ports, 8u << d->card.bucket_bits);
	*device = d;
	return 0;
}

/* The rules of a program that goes for good go with it; a warm one comes back for them. */
static void clear_table(struct slu_device *d)
{
	struct slu_command_op op = {0};

	if (slu_command_reserve(&d->ring))
		return;
	slu_command_add(&d->ring, SLU_NIC_OPCODE_FLOW_RESET, 0, 0);
	slu_command_commit(&d->ring, &op);
	slu_command_wait(&d->ring, &op);
}

void slu_device_close(struct slu_device *device)
{
	if (!device->warm && !slu_hw_gone(&device->hw))
		clear_table(device);
	free_device(device);
}
