# The web: the one part that the Internet reaches, through Caddy. Whoever breaks into it finds the webhook's secrets and a
# role of PostgreSQL's that hands in deliveries; no key of GitHub's, no file that it could write, no socket of ours.
{ config, lib, ... }:
let
  cfg = config.berth.previewOperator;
  ownDatabase = config.berth.features.database;
  credentials = {
    inherit (cfg.credentials) github-webhook-secret github-webhook-secret-previous;
    database-url = cfg.credentials.web-database-url;
  };
  given = lib.filterAttrs (_: file: file != null) credentials;
  role = config.berth.database.webRole;
in
{
  config = lib.mkIf config.berth.features.previewOperator {
    systemd.services.berth-web = {
      description = "Berth: takes GitHub's webhooks";
      wantedBy = [ "multi-user.target" ];
      requires = lib.optional ownDatabase "berth-database-rules.service";
      after = [
        "network.target"
        "berth-database-rules.service"
      ];
      # At the first boot it comes back until the operator has made the schema.
      startLimitIntervalSec = 0;
      restartTriggers = [ config.environment.etc."berth/berth.toml".source ];
      environment = {
        BERTH_CONFIG = "/etc/berth/berth.toml";
        NODE_ENV = "production";
      }
      // lib.optionalAttrs ownDatabase {
        DATABASE_URL = "postgresql:///${config.berth.database.operatorRole}?host=/run/postgresql&user=${role}";
      };
      serviceConfig = import ../../unit-sandbox.nix // {
        ExecStart = "${lib.getExe cfg.package} --only web";
        User = cfg.webUser;
        Group = cfg.webUser;
        LoadCredential = lib.mapAttrsToList (name: file: "${name}:${file}") given;
        Restart = "always";
        RestartSec = 2;
        # Requests in hand are answered first; each has nine seconds (webhook/core/limits.ts).
        TimeoutStopSec = 15;
        # A hundred megabytes of bodies may be on their way, beside Node itself.
        MemoryMax = "512M";
        TasksMax = 64;
        LimitNOFILE = 16384;
        PrivateUsers = true;
        # V8 compiles at run time.
        MemoryDenyWriteExecute = false;
        SystemCallErrorNumber = "EPERM";
        RestrictAddressFamilies = [
          "AF_UNIX"
          "AF_INET"
          "AF_INET6"
        ];
      }
      // (
        if ownDatabase then
          {
            # Caddy comes over loopback, PostgreSQL is a unix socket; there is nobody to call.
            IPAddressDeny = "any";
            IPAddressAllow = "localhost";
          }
        else
          { IPAddressDeny = "169.254.0.0/16"; }
      );
    };
  };
}
