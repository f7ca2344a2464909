# Who may log in where (promise S11): a preview's role to the database of its own name, from a container, with its
# password; the operator and the web over the unix socket, each by its system user; and there, once, the role that the operator
# loads a repository's seed as. Nobody else anywhere.
{
  config,
  lib,
  pkgs,
  ...
}:
let
  cfg = config.berth.database;
  operator = cfg.operatorRole;
  web = cfg.webRole;
  # pg_ident.conf: which system users may become a role.
  mayBecome = role: users: lib.concatMapStrings (user: "${role} ${user} ${role}\n") (lib.unique users);

  authentication = ''
    # TYPE  DATABASE  USER  ADDRESS  METHOD
    local all postgres peer map=postgres
    local all ${operator} peer map=${operator}
    local ${operator} ${web} peer map=${web}
    local sameuser +${cfg.seedsRole} scram-sha-256
    local all all reject
    host sameuser +${cfg.tenantsRole} ${config.berth.containerRange} scram-sha-256
    host all all 0.0.0.0/0 reject
    host all all ::/0 reject
  '';

  # Repeated at each start: every line may run twice.
  rules = pkgs.writeText "berth-database-rules.sql" ''
    DO $$
    BEGIN
      IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = '${cfg.tenantsRole}') THEN
        CREATE ROLE ${cfg.tenantsRole} NOLOGIN;
      END IF;
      IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = '${cfg.seedsRole}') THEN
        CREATE ROLE ${cfg.seedsRole} NOLOGIN;
      END IF;
    END
    $$;
    GRANT ${cfg.tenantsRole}, ${cfg.seedsRole} TO ${operator} WITH ADMIN OPTION;
    REVOKE ALL ON DATABASE postgres, template1, ${operator} FROM PUBLIC;
    GRANT CONNECT ON DATABASE postgres, template1 TO ${operator};
    GRANT CONNECT ON DATABASE ${operator} TO ${web};
    ALTER ROLE ${web} CONNECTION LIMIT 4;
    REVOKE ALL ON SCHEMA public FROM PUBLIC;
  '';
in
{
  options.berth.database.render = lib.mkOption {
    type = lib.types.attrsOf lib.types.str;
    internal = true;
    readOnly = true;
    default = {
      inherit authentication;
      rules = rules.text;
    };
    description = "The texts that assertions compare with and that the tests load into a real PostgreSQL.";
  };

  config = lib.mkIf config.berth.features.database {
    services.postgresql = {
      # NixOS's own default lets every system user and every loopback client try.
      authentication = lib.mkOverride 90 authentication;
      identMap = mayBecome operator (cfg.operatorUsers ++ [ "root" ]) + mayBecome web cfg.webUsers;
      ensureDatabases = [ operator ];
      ensureUsers = [
        {
          name = operator;
          ensureDBOwnership = true;
          ensureClauses = {
            login = true;
            createdb = true;
            createrole = true;
          };
        }
        # What it may is the operator's to say, which makes the functions that it calls.
        {
          name = web;
          ensureClauses.login = true;
        }
      ];
    };

    systemd.services.berth-database-rules = {
      description = "Who may use which database";
      wantedBy = [ "multi-user.target" ];
      requires = [ "postgresql-setup.service" ];
      after = [ "postgresql-setup.service" ];
      serviceConfig = import ../../unit-sandbox.nix // {
        Type = "oneshot";
        RemainAfterExit = true;
        User = "postgres";
        Group = "postgres";
        ExecStart = "${lib.getExe' config.services.postgresql.finalPackage "psql"} --no-psqlrc --set=ON_ERROR_STOP=1 --single-transaction --dbname=postgres --file=${rules}";
        PrivateNetwork = true;
      };
    };
  };
}
