# Every module by name. An explicit list: a folder that is not named here does not exist for any host.
{
  database = ./database;
  firewall = ./firewall;
  hardening = ./hardening;
  ingress = ./ingress;
  preview-containers = ./preview-containers;
  preview-operator = ./preview-operator;
}
