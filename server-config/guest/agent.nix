# What an agent's container has beyond a guest's base: a user, a shell's tools, and guardrails that the agent cannot change.
{
  config,
  lib,
  pkgs,
  ...
}:
let
  credential = "/run/agent-credentials/oauth_token";

  hook = name: "${lib.getExe pkgs.nodejs_24} /etc/claude-code/hooks/${name}.ts";
  ours = lib.importJSON ./agent/managed-settings.json;
  policy = ours // {
    permissions = ours.permissions // {
      deny = ours.permissions.deny ++ config.guest.agent.extraDeny;
    };
  };
in
{
  options.guest.agent.extraDeny = lib.mkOption {
    type = lib.types.listOf lib.types.str;
    default = [ ];
    description = "Rules of refusal besides those of managed-settings.json.";
  };

  config = {
    # The only unfree package that may enter an agent's closure.
    nixpkgs.config.allowUnfreePredicate = package: lib.getName package == "claude-code";

    users.users.agent = {
      isNormalUser = true;
      uid = 1000;
      extraGroups = [ "wheel" ];
      openssh.authorizedKeys.keyFiles = [ ];
    };
    # The container is the boundary: root inside is nobody on the host.
    security.sudo.wheelNeedsPassword = false;

    services.openssh = {
      enable = true;
      settings = {
        PasswordAuthentication = false;
        KbdInteractiveAuthentication = false;
        PermitRootLogin = "prohibit-password";
        X11Forwarding = false;
      };
      # The host writes the operator's and the caller's keys here before the first boot.
      authorizedKeysFiles = lib.mkForce [ "/etc/ssh/authorized_keys.d/%u" ];
    };

    environment.systemPackages = with pkgs; [
      vim
      git
      curl
      wget
      htop
      tmux
      ripgrep
      fd
      jq
      nodejs_24
      python3
      go
      rustup
      gcc
      gnumake
      claude-code
    ];

    # Moves the token that the host left into memory, readable by the agent's user alone, and off the container's disk.
    systemd.services.agent-credentials = {
      description = "Hand the agent its model token";
      wantedBy = [ "multi-user.target" ];
      before = [
        "sshd.service"
        "multi-user.target"
      ];
      unitConfig.ConditionPathExists = "/mnt/claude-creds/oauth_token";
      path = [ pkgs.coreutils ];
      serviceConfig = {
        Type = "oneshot";
        RemainAfterExit = true;
        RuntimeDirectory = "agent-credentials";
        RuntimeDirectoryMode = "0755";
        ExecStart = lib.concatStringsSep " " [
          "${pkgs.coreutils}/bin/install"
          "--mode=0400 --owner=agent --group=users"
          "/mnt/claude-creds/oauth_token"
          credential
        ];
      };
    };
    # Read from the file by the login shell: never in the store, in a file that all can read, or in a process's arguments.
    environment.loginShellInit = ''
      if [ -r ${credential} ]; then
        CLAUDE_CODE_OAUTH_TOKEN=$(cat ${credential})
        export CLAUDE_CODE_OAUTH_TOKEN
      fi
    '';

    # Managed settings stand above the user's and the project's, and these files are root's, in the store.
    environment.etc = {
      "claude-code/managed-settings.json".text = builtins.toJSON (
        policy
        // {
          hooks = {
            PreToolUse = [
              {
                matcher = "Bash|Read|Edit|Write|MultiEdit|Grep|Glob";
                hooks = [
                  {
                    type = "command";
                    command = hook "guard-tool-use";
                    timeout = 10;
                  }
                ];
              }
            ];
            PostToolUse = [
              {
                matcher = "WebFetch|WebSearch|mcp__.*";
                hooks = [
                  {
                    type = "command";
                    command = hook "warn-of-injection";
                    timeout = 10;
                  }
                ];
              }
            ];
          };
        }
      );
      "claude-code/commands".source = ./agent/commands;
      "claude-code/rules".source = ./agent/rules;
      "claude-code/hooks/guard-tool-use.ts".source = ./agent/guard-tool-use.ts;
      "claude-code/hooks/warn-of-injection.ts".source = ./agent/warn-of-injection.ts;
      "claude-code/hooks/hook-input.ts".source = ./agent/hook-input.ts;
    };

    # Slash commands and rules are looked for in the user's own folder; what lies there is the store's, the same everywhere.
    systemd.tmpfiles.settings.agent-guidance =
      let
        own = {
          user = "agent";
          group = "users";
        };
        folder.d = own // {
          mode = "0755";
        };
        link = kind: { "L+" = own // { argument = "/etc/claude-code/${kind}"; }; };
      in
      {
        "/home/agent/.claude" = folder;
        "/home/agent/.claude/commands" = folder;
        "/home/agent/.claude/rules" = folder;
        "/home/agent/.claude/commands/berth" = link "commands";
        "/home/agent/.claude/rules/berth" = link "rules";
      };

    assertions = [
      {
        assertion = !config.services.openssh.settings.PasswordAuthentication;
        message = "An agent's container takes SSH keys only: services.openssh.settings.PasswordAuthentication must stay false.";
      }
    ];
  };
}
