# Parameters of this build of the card: the one place that names them.
NIC_PORTS := 2
NIC_QUEUES_PER_PORT := 2
NIC_BUCKET_BITS := 17
NIC_FLOW_ID_BITS := 20
NIC_NEXT_HOP_BITS := 12
NIC_CLOCK_HZ := 322265625

# The same as macros for cpp.
NIC_DEFS := -DNIC_PORTS=$(NIC_PORTS) -DNIC_QUEUES_PER_PORT=$(NIC_QUEUES_PER_PORT) \
	-DNIC_QUEUES="($(NIC_PORTS) * $(NIC_QUEUES_PER_PORT))" -DNIC_BUCKET_BITS=$(NIC_BUCKET_BITS) \
	-DNIC_FLOW_ID_BITS=$(NIC_FLOW_ID_BITS) -DNIC_NEXT_HOP_BITS=$(NIC_NEXT_HOP_BITS) -DNIC_CLOCK_HZ=$(NIC_CLOCK_HZ)

NIC_DT_ROM := $(B)/hw/dts/slu_dt_rom.sv
NIC_RTL_GENERATED := $(NIC_DT_ROM)

# The device tree: cpp with the constants of the register source, dtc, ROM.
$(B)/hw/dts/regs.h: include/sluice/nic_regs.h
	@mkdir -p $(@D)
	sed -nE 's/^#define (SLU_NIC_[A-Z0-9_]+ (0x)?[0-9A-Fa-f]+)u$$/#define \1/p' $< > $@

$(B)/hw/dts/sluice-nic.dtb: hw/dts/sluice-nic.dts $(B)/hw/dts/regs.h hw/build.mk
	$(CC) -E -nostdinc -undef -x assembler-with-cpp -P $(NIC_DEFS) -include $(B)/hw/dts/regs.h $< -o $(@:.dtb=.i)
	dtc -I dts -O dtb -o $@ $(@:.dtb=.i)

$(NIC_DT_ROM): $(B)/hw/dts/sluice-nic.dtb hw/dts/dt_rom.py
	$(PYTHON) hw/dts/dt_rom.py $< $@

# The whole card through Verilator's lint, as hardware and as the simulator has it; nothing may be said.
LINTS += lint-rtl
lint-rtl: $(NIC_DT_ROM)
	verilator --lint-only -Wall --top-module sluice_nic $(RTL_LINT) $(RTL_SOURCES) $(NIC_RTL_GENERATED)
	verilator --lint-only -Wall --top-module sluice_nic -DSLU_SIM_CLOCK $(RTL_LINT) $(RTL_SOURCES) $(NIC_RTL_GENERATED)
.PHONY: lint-rtl
