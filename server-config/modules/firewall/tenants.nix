# Loads tenants.nft with this host's values. Not networking.nftables.tables: that deletes a table and makes it
# anew at each change, and with it the elements of every running container.
{
  config,
  lib,
  pkgs,
  ...
}:
let
  cfg = config.berth.firewall;
  containers = config.berth.previewContainers;
  nft = lib.getExe' pkgs.nftables "nft";
  list = values: "{ ${lib.concatMapStringsSep ", " toString values} }";
  nothing = "{ 255.255.255.255 }"; # nft has no empty set literal; a broadcast is blocked anyway

  rules = pkgs.writeText "berth-tenants.nft" ''
    define uplink = "${config.berth.uplink}"
    define resolver = ${containers.resolverAddress}
    define internet_ports = ${list containers.allowedPorts}
    define denied = ${if cfg.deniedAddresses == [ ] then nothing else list cfg.deniedAddresses}
    define routed_from = { ${lib.concatMapStringsSep ", " (i: ''"${i}"'') (cfg.routedFrom ++ [ "lo" ])} }

    ${builtins.readFile ./tenants.nft}
  '';
in
{
  config = lib.mkIf (config.berth.features.firewall && config.berth.features.previewContainers) {
    environment.etc."berth/tenants.nft".source = rules;

    systemd.services.berth-tenant-rules = {
      description = "Packet filter around preview containers";
      wantedBy = [ "multi-user.target" ];
      before = [
        "network-pre.target"
        "multi-user.target"
      ];
      wants = [ "network-pre.target" ];
      after = [ "nftables.service" ];
      reloadIfChanged = true;
      unitConfig.DefaultDependencies = false;
      serviceConfig = import ../../unit-sandbox.nix // {
        Type = "oneshot";
        RemainAfterExit = true;
        # No ExecStop: stopping this unit must not open anything.
        ExecStart = "${nft} --file ${rules}";
        ExecReload = "${nft} --file ${rules}";
        CapabilityBoundingSet = "CAP_NET_ADMIN";
        RestrictAddressFamilies = "AF_NETLINK";
      };
    };

    # No rules, no container. Not `requires`: a restart of the rules' unit would then stop every container.
    systemd.services."container@" = {
      wants = [ "berth-tenant-rules.service" ];
      after = [ "berth-tenant-rules.service" ];
      preStart = lib.mkBefore "${nft} list table inet berth > /dev/null";
    };

    # Both tables must let a packet in. tenants.nft decides which container may ask what; this repeats only the
    # two services that any may ask at all, so that a missing table still leaves the host's other ports shut.
    networking.firewall.extraInputRules = ''
      iifname "ve-*" tcp dport 5432 ip daddr ${config.berth.containerRange} accept comment "own database; which one: table inet berth"
      iifname "ve-*" ip daddr ${containers.resolverAddress} meta l4proto { tcp, udp } th dport 53 accept comment "the resolver"
    '';
  };
}
