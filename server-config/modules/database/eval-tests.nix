{ lib, ... }:
let
  on = {
    services.openssh.enable = true;
    berth.features.database = true;
  };
in
{
  "tenants get in over TCP to their own database only" = {
    modules = [ on ];
    shows = config: {
      pg_hba = {
        actual = config.services.postgresql.authentication;
        equals = ''
          # TYPE  DATABASE  USER  ADDRESS  METHOD
          local all postgres peer map=postgres
          local all berth peer map=berth
          local berth berth_web peer map=berth_web
          local sameuser +berth_seeds scram-sha-256
          local all all reject
          host sameuser +berth_tenants 10.100.0.0/16 scram-sha-256
          host all all 0.0.0.0/0 reject
          host all all ::/0 reject
        '';
      };
      "no port is opened for it" = {
        actual = config.networking.firewall.allowedTCPPorts;
        lacks = "5432";
      };
      "rules wait for the server" = {
        actual = config.systemd.units."berth-database-rules.service".text;
        contains = [
          "Requires=postgresql-setup.service"
          "User=postgres"
        ];
      };
    };
  };

  "memory is shared out" = {
    modules = [
      on
      { berth.database.memoryMiB = 8192; }
    ];
    shows = config: {
      settings = {
        actual = lib.getAttrs [ "shared_buffers" "effective_cache_size" "work_mem" "max_connections" ] config.services.postgresql.settings;
        equals = {
          shared_buffers = "2048MB";
          effective_cache_size = "6144MB";
          work_mem = "81MB";
          max_connections = 500;
        };
      };
    };
  };

  "with backups there is a dump, started by them and not by a clock" = {
    modules = [
      on
      { services.postgresqlBackup.enable = lib.mkForce true; }
      {
        services.postgresqlBackup.backupAll = true;
        services.postgresqlBackup.startAt = lib.mkForce [ ];
      }
    ];
    shows = config: {
      timer = {
        actual = config.systemd.services.postgresqlBackup.startAt;
        equals = [ ];
      };
    };
  };

  "a line of trust" = {
    modules = [
      on
      { services.postgresql.authentication = lib.mkForce "host all all 0.0.0.0/0 trust"; }
    ];
    refused = "services.postgresql.authentication was changed";
  };
  "tenants who are the operator" = {
    modules = [
      on
      { berth.database.operatorRole = "berth_tenants"; }
    ];
    refused = "every preview would be the operator";
  };
  "an operator called postgres" = {
    modules = [
      on
      { berth.database.operatorRole = "postgres"; }
    ];
    refused = "is a name of PostgreSQL's own";
  };
  "an operator called as the web" = {
    modules = [
      on
      { berth.database.operatorRole = "berth_web"; }
    ];
    refused = "or the web's";
  };
  "a superuser" = {
    modules = [
      on
      {
        services.postgresql.ensureUsers = [
          {
            name = "boss";
            ensureClauses.superuser = true;
          }
        ];
      }
    ];
    refused = "makes a superuser";
  };
  "a database without the firewall" = {
    modules = [
      on
      { berth.features.firewall = false; }
    ];
    refused = "berth.features.database needs berth.features.firewall";
  };
  "a role with a quote" = {
    modules = [
      on
      { berth.database.operatorRole = "x\"; DROP"; }
    ];
    throws = "berth.database.operatorRole";
  };
}
