# Every combination of profiles, and of roles with disk layouts, that a host may be made of; each a list of modules.
{ lib, root }:
let
  profile = name: root + "/server-config/profiles/${name}.nix";
  roles = [
    "all-in-one"
    "worker"
    "ingress"
    "tenant"
  ];
  machines = [
    "hetzner-dedicated"
    "hetzner-cloud"
  ];

  # What any of the roles asks of a host's own file.
  facts = {
    system.stateVersion = "26.05";
    berth = {
      domain = "previews.example.net";
      webhookHost = "hooks.example.com";
      dashboardHost = "berth.example.com";
      repositories = [ "acme/shop" ];
      adminKeys = [ "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIExampleExampleExampleExampleExampleExampleEx you@laptop" ];
      ingress.tls.dns = {
        provider = "hetzner";
        credentialsFile = "/var/secrets/dns.env";
        email = "ops@example.com";
      };
      previewOperator.credentials.github-webhook-secret = "/var/secrets/github-webhook-secret";
      previewOperator.credentials.github-token = "/var/secrets/github-token";
      mesh.address = "10.99.0.1";
      mesh.privateKeyFile = "/var/secrets/mesh-key";
      binaryCache.serve.address = "10.99.0.1";
      binaryCache.serve.signKeyFile = "/var/secrets/cache-key";
      backup.repository = "sftp:u1@u1.your-storagebox.de:berth";
      backup.passwordFile = "/var/secrets/restic-password";
    };
  };
  plainDisk = {
    fileSystems."/" = {
      device = "/dev/disk/by-label/root";
      fsType = "ext4";
    };
    boot.loader.grub.devices = [ "/dev/sda" ];
  };

  disks = [
    "/dev/disk/by-id/first"
    "/dev/disk/by-id/second"
  ];
  layouts = lib.mapCartesianProduct (given: given) (
    import ./layout-choices.nix
    // {
      layout = [
        "single-disk"
        "mirrored"
      ];
    }
  );
  layoutName = given: "${given.layout} ${given.firmware} ${given.fileSystem} ${if given.encrypted then "encrypted" else "plain"}";
  layoutModule =
    given:
    import (root + "/initial-install/disk-layouts/${given.layout}.nix") {
      devices = if given.layout == "mirrored" then disks else lib.take 1 disks;
      inherit (given) firmware fileSystem encrypted;
    };
in
{
  hosts = lib.mapAttrs (_: host: [ host ]) (import (root + "/server-config/hosts"));

  profiles = lib.listToAttrs (
    lib.mapCartesianProduct
      (
        {
          machine,
          role,
          hardened,
        }:
        lib.nameValuePair "${machine} ${role}${lib.optionalString hardened " hardened"}" (
          [
            facts
            plainDisk
            (profile "base")
            (profile machine)
            (profile role)
          ]
          ++ lib.optional hardened (profile "hardened")
        )
      )
      {
        machine = machines;
        role = roles;
        hardened = [
          false
          true
        ];
      }
  );

  layouts = lib.listToAttrs (
    lib.concatMap (
      role:
      map (
        given:
        lib.nameValuePair "${role} ${layoutName given}" [
          facts
          (layoutModule given)
          (profile "base")
          (profile "hardened")
          (profile (if given.layout == "mirrored" then "hetzner-dedicated" else "hetzner-cloud"))
          (profile role)
        ]
      ) layouts
    ) roles
  );
}
