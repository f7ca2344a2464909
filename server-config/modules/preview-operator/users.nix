{ config, lib, ... }:
let
  cfg = config.berth.previewOperator;
in
{
  config = lib.mkIf config.berth.features.previewOperator {
    users.users.${cfg.user} = {
      isSystemUser = true;
      uid = cfg.userId;
      group = cfg.user;
      home = "/var/lib/berth";
      description = "Berth's operator";
    };
    users.groups.${cfg.user}.gid = cfg.userId;

    # It builds the previews' closures.
    berth.hardening.nixUsers = [ cfg.user ];
    nix.settings.experimental-features = [
      "nix-command"
      "flakes"
    ];
    berth.database.operatorUsers = [ cfg.user ];

    # `preview`, `agent`, `fleet` and `hostctl` for whoever is on the host.
    environment.systemPackages = [ cfg.package ];
  };
}
