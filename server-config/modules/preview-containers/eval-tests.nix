{ lib, ... }:
let
  on.berth.features.previewContainers = true;
in
{
  "containers get addresses, NAT and one resolver" = {
    modules = [
      on
      { berth.uplink = "enp1s0"; }
    ];
    shows = config: {
      nat = {
        actual = config.networking.nftables.tables.nixos-nat.content or config.networking.nat.internalIPs;
        contains = "10.100.0.0/16";
      };
      forwarding = {
        actual = config.boot.kernel.sysctl."net.ipv4.conf.all.forwarding";
        equals = true;
      };
      uplink = {
        actual = config.networking.nat.externalInterface;
        equals = "enp1s0";
      };
      "resolver's address" = {
        actual = config.systemd.network.units."10-berth-resolver.network".text;
        contains = [
          "Name=lo"
          "Address=10.100.0.1/32"
        ];
      };
      "resolver listens there" = {
        actual = config.environment.etc."systemd/resolved.conf".text;
        contains = "DNSStubListenerExtra=10.100.0.1";
      };
      "networkd leaves the links alone" = {
        actual = config.systemd.network.units."10-berth-containers.network".text;
        contains = [
          "Name=ve-* vb-*"
          "Unmanaged=true"
        ];
      };
    };
  };

  "one container and all together are limited" = {
    modules = [ on ];
    shows = config: {
      "container@" = {
        actual = config.systemd.units."container@.service".text;
        contains = [
          "MemoryMax=2G"
          "CPUQuota=200%"
          "TasksMax=1024"
          "Slice=machine.slice"
        ];
      };
      slice = {
        actual = config.systemd.units."machine.slice".text;
        contains = "MemoryMax=80%";
      };
    };
  };

  "another range moves the resolver too" = {
    modules = [
      on
      { berth.containerRange = "172.20.16.0/20"; }
    ];
    shows = config: {
      resolver = {
        actual = config.berth.previewContainers.resolverAddress;
        equals = "172.20.16.1";
      };
    };
  };

  "a range that is not aligned" = {
    modules = [
      on
      { berth.containerRange = "10.100.1.0/16"; }
    ];
    refused = "does not start at a multiple of its size";
  };
  "a range that is too small" = {
    modules = [
      on
      { berth.containerRange = "10.100.0.0/30"; }
    ];
    refused = "must have a prefix from /12 to /28";
  };
  "a public range" = {
    modules = [
      on
      { berth.containerRange = "8.8.0.0/16"; }
    ];
    refused = "is not a private range";
  };
  "a range with an address of the host" = {
    modules = [
      on
      {
        networking.interfaces.eth1.ipv4.addresses = [
          {
            address = "10.100.7.1";
            prefixLength = 24;
          }
        ];
      }
    ];
    refused = "holds an address of this host's own";
  };
  "mail from containers" = {
    modules = [
      on
      { berth.previewContainers.allowedPorts = [ 25 ]; }
    ];
    refused = "allowedPorts has 25";
  };
  "a range that is none" = {
    modules = [
      on
      { berth.containerRange = "10.100.0.256/16"; }
    ];
    throws = "berth.containerRange";
  };
  "a memory limit without a unit" = {
    modules = [
      on
      { berth.previewContainers.limits.memory = "2"; }
    ];
    throws = "berth.previewContainers.limits.memory";
  };
}
