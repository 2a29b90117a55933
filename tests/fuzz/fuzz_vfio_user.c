/*
 * The vfio-user commands of sluice-nic: the input is a stream of messages, as
 * a hostile host would send them. A card stands behind it: a fuzzed register
 * write reaches the RTL.
 *
 * Byte 12 of each header (reserved in commands) tells the harness which file
 * descriptors go with the message: low half how many, bit 7 a page of memory,
 * else an eventfd.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

#include "hw/sim/device.h"
#include "hw/sim/nic_model.h"
#include "hw/sim/vfio_user.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static struct slu_device *device;
static struct slu_nic_model *model;

static void wire_tx(void *ctx, unsigned int port, const uint8_t *frame, size_t len)
{
	(void)ctx;
	(void)port;
	(void)frame;
	(void)len;
}

static void set_up(void)
{
	struct slu_nic_model_config config = {
		.record = {8, 8},
		.counter = {8, 8},
		.dma = {4, 4},
		.wire_tx = wire_tx,
		.dma_read = slu_device_dma_read,
		.dma_write = slu_device_dma_write,
		.irq = slu_device_irq,
	};

	device = slu_device_create();
	config.ctx = device;
	if (!device || slu_nic_model_create(&config, &model))
		abort();
	slu_device_set_model(device, model);
}

static void attach_fds(struct slu_vfio_user_message *m)
{
	m->fd_count = m->header.error & 0xF;
	for (uint32_t i = 0; i < m->fd_count; i++) {
		if (m->header.error & 0x80) {
			m->fds[i] = memfd_create("fuzz", MFD_CLOEXEC);
			if (ftruncate(m->fds[i], 16384))
				abort();
		} else {
			m->fds[i] = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
		}
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	static struct slu_vfio_user_message m;
	static struct slu_vfio_user_reply r;

	if (!device)
		set_up();
	if (slu_device_attach(device))
		abort();
	while (len >= sizeof(m.header)) {
		size_t have;

		memcpy(&m.header, data, sizeof(m.header));
		if (slu_vfio_user_check_header(&m.header))
			break;
		m.len = m.header.size_bytes - (uint32_t)sizeof(m.header);
		data += sizeof(m.header);
		len -= sizeof(m.header);
		have = m.len < len ? m.len : len;
		memset(m.payload, 0, m.len);
		memcpy(m.payload, data, have);
		data += have;
		len -= have;
		attach_fds(&m);
		slu_device_command(device, &m, &r);
		slu_vfio_user_drop_fds(&m);
		if (r.len > sizeof(r.payload))
			abort();
	}
	slu_nic_model_run_to_idle(model, 2000);
	slu_device_detach(device);
	return 0;
}
