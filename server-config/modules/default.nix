# Every module by name. An explicit list: a folder that is not named here does not exist for any host.
{
  agents = ./agents;
  auto-upgrade = ./auto-upgrade;
  backup = ./backup;
  binary-cache = ./binary-cache;
  containers-oci = ./containers-oci;
  database = ./database;
  firewall = ./firewall;
  hardening = ./hardening;
  hostctl = ./hostctl;
  ingress = ./ingress;
  mesh = ./mesh;
  observability = ./observability;
  preview-containers = ./preview-containers;
  preview-operator = ./preview-operator;
  secrets = ./secrets;
}
